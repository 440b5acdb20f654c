import type { Policy } from '../../domain/policy.ts'
import { decideRevocation, type LoggedRevocation, sessionsOf } from '../../domain/revocation.ts'
import { decideRefresh, type Session } from '../../domain/session.ts'
import type {
  OutcomeOf,
  RecordWrite,
  RefreshOutcome,
  RevokeOutcome,
  Transaction,
  WriteOutcome,
} from '../store.ts'
import type { Tables } from './tables.ts'

/**
 * Carries out one transaction inside the open database transaction. Whatever can refuse it is asked before the
 * first write, so a refused transaction leaves its neighbours in the same commit untouched.
 */
export function apply<T extends Transaction>(tables: Tables, policy: Policy, transaction: T): OutcomeOf<T> {
  return dispatch(tables, policy, transaction) as OutcomeOf<T>
}

function dispatch(tables: Tables, policy: Policy, transaction: Transaction): OutcomeOf<Transaction> {
  switch (transaction.kind) {
    case 'write':
      return write(tables, policy, transaction)
    case 'refresh':
      return refresh(tables, policy, transaction)
    case 'revoke':
      return revoke(tables, policy, transaction)
    case 'add-account':
      if (!tables.insertAccount(transaction.account)) return { kind: 'exists' }
      tables.appendAudit(transaction.audit)
      return { kind: 'written' }
    case 'set-password':
      if (!tables.setPassword(transaction.email, transaction.password)) return { kind: 'missing' }
      tables.appendAudit(transaction.audit)
      return { kind: 'written' }
    case 'put-keys':
      for (const key of transaction.keys) tables.putKey(key)
      for (const { kid, at } of transaction.retire) tables.retireKey(kid, at)
      if (transaction.audit) tables.appendAudit(transaction.audit)
      return { kind: 'written' }
    case 'reserve-indexes':
      return { first: reserve(tables, transaction) }
    case 'queue-deliveries':
    case 'settle-delivery':
    case 'replay-deliveries':
      return tables.changeDeliveries(transaction)
  }
}

function reserve(
  tables: Tables,
  { size, listSize, at, until }: Extract<Transaction, { kind: 'reserve-indexes' }>,
): number {
  const first = tables.advance('status-index', size)
  tables.keepList(Math.floor(first / listSize), until)
  tables.forgetLists(at)
  return first
}

function conflictIn(
  tables: Tables,
  records: RecordWrite[],
): Exclude<WriteOutcome, { kind: 'written' }> | undefined {
  for (const record of records) {
    const { model, id, op } = record
    if (op === 'consume') {
      const stored = tables.record(model, id)
      if (!stored || stored.consumed !== undefined) return { kind: 'conflict', model, op }
    }
    if (op === 'need' && !tables.recordByUid(model, record.uid)) return { kind: 'conflict', model, op }
    if (op === 'put' && record.once && tables.record(model, id)) return { kind: 'conflict', model, op }
  }
  return undefined
}

function writeRecords(tables: Tables, records: RecordWrite[]) {
  for (const record of records) {
    if (record.op === 'put') tables.putRecord(record)
    else if (record.op === 'consume') tables.consumeRecord(record.model, record.id, record.at)
    else if (record.op === 'delete') tables.deleteRecord(record.model, record.id)
  }
}

function write(
  tables: Tables,
  policy: Policy,
  { records, open, end, audit, at }: Extract<Transaction, { kind: 'write' }>,
): WriteOutcome {
  const conflict = conflictIn(tables, records)
  if (conflict) return conflict
  if (open && !tables.insertSession(open)) return { kind: 'conflict', model: 'Session', op: 'open' }
  writeRecords(tables, records)
  for (const event of audit) tables.appendAudit(event)
  if (!end) return { kind: 'written', revocations: [] }
  const { sids, reason, actor, address } = end
  const revocations = sids.flatMap((sid) => {
    const request = { by: { kind: 'session' as const, sid }, reason, actor }
    const ended = revoke(tables, policy, { kind: 'revoke', request, address, at })
    return ended.kind === 'revoked' ? ended.revocations : []
  })
  return { kind: 'written', revocations }
}

function refresh(
  tables: Tables,
  policy: Policy,
  { request, records, address, at }: Extract<Transaction, { kind: 'refresh' }>,
): RefreshOutcome {
  if (conflictIn(tables, records)) return { kind: 'replayed' }
  const decision = decideRefresh(tables.session(request.sid), request, policy, at)
  writeRecords(tables, records)
  if (decision.kind === 'rotated' || decision.kind === 'repeated') tables.updateSession(decision.session)
  if (decision.kind !== 'reused') return decision
  const by = { kind: 'session' as const, sid: request.sid }
  const ended = revoke(tables, policy, {
    kind: 'revoke',
    request: { by, reason: 'token_reuse', actor: 'rescind' },
    address,
    at,
  })
  return { kind: 'reused', revocations: ended.kind === 'revoked' ? ended.revocations : [] }
}

/** The one way for anything to die. */
function revoke(
  tables: Tables,
  policy: Policy,
  { request, address, at }: Extract<Transaction, { kind: 'revoke' }>,
): RevokeOutcome {
  const sessions = new Map<string, Session>()
  for (const sid of sessionsOf(request)) {
    const session = tables.session(sid)
    if (session) sessions.set(sid, session)
  }
  const decision = decideRevocation(sessions, request, policy, at)
  if (decision.kind !== 'revoked') return decision
  const changed = new Map(decision.sessions.map((session) => [session.sid, session]))
  const revocations = decision.revocations.map((revocation) => {
    const logged = tables.logRevocation(revocation)
    const session = changed.get(logged.sid)
    if (session?.ended) session.ended.seq = logged.seq
    if (session) tables.updateSession(session)
    auditRevocation(tables, logged, address)
    return logged
  })
  return { kind: 'revoked', revocations, signedOut: decision.signedOut }
}

function auditRevocation(tables: Tables, revocation: LoggedRevocation, address: string | undefined) {
  const { at, actor, sub, sid, clientId, reason, seq, what } = revocation
  tables.appendAudit({
    event: 'revocation',
    at,
    actor,
    sub,
    sid,
    clientId,
    address,
    reason,
    seq,
    detail: what,
  })
}
