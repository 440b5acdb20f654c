import type { AuditEvent } from '../domain/audit.ts'
import { prunedUpTo } from '../domain/audit-chain.ts'
import { endedBy } from '../domain/cut-off.ts'
import type { SeenDevice } from '../domain/device.ts'
import type { Policy } from '../domain/policy.ts'
import {
  decideRevocation,
  type LoggedRevocation,
  type RevocationRequest,
  sessionsOf,
} from '../domain/revocation.ts'
import { CLOCK_SKEW, decideRefresh, outlived, outlivesAt, type Session } from '../domain/session.ts'
import { type Conflict, conflictIn, writeRecords } from './record-writes.ts'
import type {
  AccountChange,
  ChangeOutcome,
  Endings,
  OutcomeOf,
  RefreshOutcome,
  RevokeOutcome,
  TimeOutOutcome,
  Transaction,
  WriteOutcome,
} from './store.ts'
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
    case 'change-account':
      return changeAccount(tables, transaction)
    case 'time-out':
      return timeOut(tables, policy, transaction)
    case 'prune-audit':
      return { pruned: pruneAudit(tables, transaction) }
    case 'forget-old': {
      const { log, sessions, limit } = transaction
      const more = [tables.cutLog(log, limit), tables.forgetSessions(sessions, limit)]
      return { more: more.includes(true) }
    }
    case 'seen':
      see(tables, transaction)
      return { kind: 'written' }
    case 'rename-device': {
      const { sub, id, name, audit } = transaction
      if (!tables.renameDevice(sub, id, name)) return { kind: 'missing' }
      tables.appendAudit(audit)
      return { kind: 'written' }
    }
    case 'add-account':
      if (!tables.insertAccount(transaction.account)) return { kind: 'exists' }
      tables.appendAudit(transaction.audit)
      return { kind: 'written' }
    case 'put-keys':
      for (const key of transaction.keys) tables.putKey(key)
      for (const { kid, at } of transaction.retire) tables.retireKey(kid, at)
      for (const kid of transaction.drop ?? []) tables.dropKey(kid)
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

/** The record of it is younger than what it cuts off, so the chain itself says where it was cut. */
function pruneAudit(tables: Tables, { before, limit, at }: Extract<Transaction, { kind: 'prune-audit' }>) {
  const pruned = tables.cutAudit(before, tables.noticesMadeOf(), limit, at)
  if (pruned) tables.appendAudit({ event: 'audit.pruned', at, actor: 'rescind', detail: prunedUpTo(pruned) })
  return pruned
}

function see(tables: Tables, { sids, resources, at }: Extract<Transaction, { kind: 'seen' }>) {
  for (const sid of sids) {
    const session = tables.session(sid)
    const theirs = session && resources.some((one) => Object.hasOwn(session.resources, one))
    if (theirs && !session.ended) tables.seeSession(sid, at)
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

function write(
  tables: Tables,
  policy: Policy,
  { records, open, grantedAt, device, end, audit, at }: Extract<Transaction, { kind: 'write' }>,
): WriteOutcome {
  const conflict = conflictIn(tables, records) ?? (open && conflictOfOpening(tables, open, grantedAt))
  if (conflict) return conflict
  if (open && !tables.insertSession(open)) return { kind: 'conflict', model: 'Session', op: 'open' }
  writeRecords(tables, records)
  for (const event of audit) tables.appendAudit(event)
  if (open && device && tables.seeDevice(device)) tables.appendAudit(deviceAdded(open, device, at))
  const requests = end ? requestsOf(tables, end, at) : []
  for (const sid of open ? tooMany(tables, policy, open) : [])
    requests.push({ by: { kind: 'session', sid }, reason: 'session_timeout', actor: 'rescind' })
  const revocations = requests.flatMap((request) => {
    const ended = revoke(tables, policy, { kind: 'revoke', request, address: end?.address, at })
    return ended.kind === 'revoked' ? ended.revocations : []
  })
  return { kind: 'written', revocations }
}

function requestsOf(
  tables: Tables,
  { sids, clientId, reason, actor }: Endings,
  at: number,
): RevocationRequest[] {
  const cause = { reason, actor }
  const sessions = sids.map((sid) => ({ by: { kind: 'session' as const, sid }, ...cause }))
  // Anybody may register a client and remove it: one that never had a session leaves no record for ever.
  if (clientId === undefined || tables.listSessions({ clientId, limit: 1 }).sessions.length === 0)
    return sessions
  return [...sessions, { by: { kind: 'issued-before', before: at + 1, clientId }, ...cause }]
}

/** A session whose sign-in was called off between its code and now must not open. */
function conflictOfOpening(tables: Tables, open: Session, grantedAt = open.openedAt): Conflict | undefined {
  const account = tables.accountBySub(open.sub)
  const { validAfter = 0, validBrowser, deactivatedAt, resetRequired } = account ?? {}
  const calledOff = open.authTime * 1000 < validAfter && (!validBrowser || open.browser !== validBrowser)
  if (calledOff || resetRequired || deactivatedAt !== undefined)
    return { kind: 'conflict', model: 'Account', op: 'open' }
  if (endedBy({ ...open, refreshedAt: grantedAt }, tables.cutOffsOf(open.clientId)))
    return { kind: 'conflict', model: 'CutOff', op: 'open' }
  return undefined
}

/** The sessions that have to go for a new one: those that were unused for the longest. */
function tooMany(tables: Tables, policy: Policy, { sub, sid }: Session): string[] {
  const others = tables.liveSessionsOf(sub).filter((one) => one.sid !== sid)
  const excess = others.length + 1 - policy.maxSessions
  if (excess <= 0) return []
  const unused = others.sort((a, b) => a.refreshedAt - b.refreshedAt)
  return unused.slice(0, excess).map((one) => one.sid)
}

function deviceAdded({ sub, sid, clientId }: Session, { name, address }: SeenDevice, at: number): AuditEvent {
  return { event: 'device.added', at, actor: `account:${sub}`, sub, sid, clientId, address, detail: name }
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
  if (decision.kind !== 'reused' && decision.kind !== 'suspicious') return decision
  const reason = decision.kind === 'reused' ? 'token_reuse' : 'suspicious_activity'
  const by = { kind: 'session' as const, sid: request.sid }
  const ended = revoke(tables, policy, {
    kind: 'revoke',
    request: { by, reason, actor: 'rescind' },
    address,
    at,
  })
  return { kind: decision.kind, revocations: ended.kind === 'revoked' ? ended.revocations : [] }
}

function changeAccount(
  tables: Tables,
  { account, records = [], audit }: Extract<Transaction, { kind: 'change-account' }>,
): ChangeOutcome {
  const conflict = conflictIn(tables, records)?.model ?? conflictOfChange(tables, account)
  if (conflict) return { kind: 'conflict', model: conflict }
  tables.changeAccount(account)
  writeRecords(tables, records)
  for (const event of audit) tables.appendAudit(event)
  return { kind: 'written' }
}

/** What speaks against a change of an account, or of the session that asks for it. */
function conflictOfChange(tables: Tables, account: AccountChange): string | undefined {
  const { sub, expectSession } = account
  const asking = expectSession === undefined ? undefined : tables.session(expectSession)
  if (expectSession !== undefined && (!asking || asking.ended || asking.sub !== sub)) return 'Session'
  return tables.conflictWith(account)
}

/** The one way for anything to die. */
function revoke(
  tables: Tables,
  policy: Policy,
  transaction: Extract<Transaction, { kind: 'revoke' }>,
): RevokeOutcome {
  const { request, account, records = [], audit = [], address, at } = transaction
  const conflict = conflictIn(tables, records)?.model ?? (account && conflictOfChange(tables, account))
  if (conflict) return { kind: 'conflict', model: conflict }
  const { by } = request
  const cutOffs = by.kind === 'issued-before' ? tables.cutOffsFor(by.clientId) : []
  const decision = decideRevocation(sessionsFor(tables, request), request, policy, at, cutOffs)
  if (decision.kind !== 'revoked') return decision
  if (account) tables.changeAccount(account)
  writeRecords(tables, records)
  for (const event of audit) tables.appendAudit(event)
  const changed = new Map(decision.sessions.map((session) => [session.sid, session]))
  const revocations = decision.revocations.map((revocation) => {
    const logged = tables.logRevocation(revocation)
    if (logged.what === 'cut_off') {
      const { what: _, actor: __, ...cutOff } = logged
      tables.addCutOff(cutOff)
    } else {
      const session = changed.get(logged.sid)
      if (session?.ended) session.ended.seq = logged.seq
      if (session) tables.updateSession(session)
    }
    auditRevocation(tables, logged, address, request.words)
    return logged
  })
  return { kind: 'revoked', revocations, signedOut: decision.signedOut }
}

function sessionsFor(tables: Tables, request: RevocationRequest): Map<string, Session> {
  const which = sessionsOf(request)
  const found = Array.isArray(which)
    ? which.flatMap((sid) => tables.session(sid) ?? [])
    : tables.liveSessionsOf(which.sub)
  return new Map(found.map((session) => [session.sid, session]))
}

/** Ends what is over by itself, and puts off what was used since it was last looked at. */
function timeOut(
  tables: Tables,
  policy: Policy,
  { at, limit }: Extract<Transaction, { kind: 'time-out' }>,
): TimeOutOutcome {
  const due = tables.sessionsDue(at, limit)
  const revocations = due.flatMap((session) => {
    if (session.ended) return bury(tables, session, at)
    const over = outlived(session, policy, at)
    tables.lookAgain(session.sid, over ? null : outlivesAt(session, policy))
    if (!over) return []
    const by = { kind: 'session' as const, sid: session.sid }
    const request = { by, reason: 'session_timeout' as const, actor: 'rescind' }
    const ended = revoke(tables, policy, { kind: 'revoke', request, at })
    return ended.kind === 'revoked' ? ended.revocations : []
  })
  return { revocations, more: due.length === limit }
}

/**
 * The end that a cut-off gave a session is written into its row, so that it is forgotten like others; not while its tokens could
 * live, as they are looked for among the sessions whose rows say nothing of an end.
 */
function bury(tables: Tables, session: Session, at: number): [] {
  const gone = Math.max(0, ...session.tokens.map(({ exp }) => exp * 1000 + CLOCK_SKEW))
  tables.lookAgain(session.sid, gone > at ? gone : null)
  if (gone <= at) tables.updateSession(session)
  return []
}

function auditRevocation(
  tables: Tables,
  revocation: LoggedRevocation,
  address: string | undefined,
  words: string | undefined,
) {
  const { at, actor, clientId, reason, seq, what } = revocation
  const of = what === 'cut_off' ? {} : { sub: revocation.sub, sid: revocation.sid }
  const before = what === 'cut_off' ? ` before ${new Date(revocation.before).toISOString()}` : ''
  const detail = `${what}${before}${words === undefined ? '' : `: ${words}`}`
  tables.appendAudit({ event: 'revocation', at, actor, ...of, clientId, address, reason, seq, detail })
}
