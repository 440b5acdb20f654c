import type { Client } from 'pg'
import type { Anchor } from '../../domain/audit.ts'
import type { Policy } from '../../domain/policy.ts'
import { type LoggedRevocation, sessionsOf } from '../../domain/revocation.ts'
import { apply } from '../apply.ts'
import { createCutOffIndex } from '../cut-off-index.ts'
import type { Transaction } from '../store.ts'
import { flush } from './flush.ts'
import { load, Missing } from './load.ts'
import { createOverlay, type Overlay } from './overlay.ts'
import type { Heads } from './writes.ts'

export type Group = { values: unknown[]; logged: LoggedRevocation[] }

const FORGET_AT_ONCE = 2_000
const FORGET = `DELETE FROM records WHERE (model, id) IN
  (SELECT model, id FROM records WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`

/** More questions than this are a mistake of ours, not of the data. */
const MAX_ROUNDS = 100

/** The connection broke while a group was committed, or the replica has not confirmed it: it may be there, or not. */
export class CommitUnknown extends Error {
  /** Where the audit chain ends if it is there; nothing when the group recorded nothing. */
  readonly audit: Anchor | undefined
  readonly group: Group
  constructor(cause: string, group: Group, audit: Anchor | undefined) {
    super(cause)
    this.group = group
    this.audit = audit
  }
}

/**
 * Carries out what has gathered, in one transaction with one sync. One group at a time of all processes: whoever has the row of
 * the heads is the only one who writes, so that the log has no gaps, the audit log is one chain, and every decision sees
 * what was decided before it.
 * @param options.forgetBefore records that expired before this, in s, are forgotten
 * @throws CommitUnknown; any other error when nothing of it was written
 */
export async function commitGroup(
  client: Client,
  transactions: readonly Transaction[],
  policy: Policy,
  options: { forgetBefore: number | undefined; partition?: number },
): Promise<Group> {
  await client.query('BEGIN')
  const { before, overlay } = await write(client, transactions, policy, options)
  const { values, tables } = overlay
  const group = { values, logged: tables.logged }
  try {
    await commit(client)
    return group
  } catch (error) {
    const recorded = tables.heads.audit.n > before.audit.n
    throw new CommitUnknown((error as Error).message, group, recorded ? tables.heads.audit : undefined)
  }
}

async function write(
  client: Client,
  transactions: readonly Transaction[],
  policy: Policy,
  { forgetBefore, partition }: { forgetBefore: number | undefined; partition?: number },
) {
  try {
    const before = await lockHeads(client)
    const overlay = await decide(client, transactions, policy, before)
    if (forgetBefore !== undefined) await client.query(FORGET, [forgetBefore, FORGET_AT_ONCE])
    await flush(client, overlay.tables.writes, overlay.tables.heads, before, partition)
    return { before, overlay }
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

/**
 * A server that stops waiting for its synchronous replica says so in a warning, and then that it has committed: a fail-over
 * would take that back.
 */
async function commit(client: Client): Promise<void> {
  let warned = false
  const warn = () => {
    warned = true
  }
  client.on('notice', warn)
  try {
    await client.query('COMMIT')
  } finally {
    client.off('notice', warn)
  }
  if (warned) throw new Error('the replica has not confirmed the commit')
}

/**
 * Whether a group is there for good. The row of the heads is free only once its own transaction has ended, one way or the
 * other; and this commit is confirmed by the replica only after that one.
 * @throws when it can’t be said
 */
export async function wasCommitted(client: Client, { n, hash }: Anchor): Promise<boolean> {
  await client.query('BEGIN')
  await lockHeads(client)
  const { rows } = await client.query('SELECT FROM audit WHERE n = $1 AND hash = $2', [n, hash])
  await commit(client)
  return rows.length > 0
}

async function lockHeads(client: Client): Promise<Heads> {
  const { rows } = await client.query({ name: 'lock', text: 'SELECT * FROM heads FOR UPDATE' })
  const { seq, tag, audit_n: n, audit_hash: hash, keys, clients } = rows[0]
  return { seq, tag, audit: { n, hash }, keys, clients }
}

/** Decides in memory, as often as something turns out to be missing there. */
async function decide(
  client: Client,
  transactions: readonly Transaction[],
  policy: Policy,
  heads: Heads,
): Promise<{ tables: Overlay; values: unknown[] }> {
  const base = new Map<string, unknown>()
  const { rows } = await client.query({ name: 'cut-offs', text: 'SELECT body FROM cut_offs ORDER BY seq' })
  const cutOffs = rows.map(({ body }) => JSON.parse(body))
  await load(client, base, transactions.flatMap(surelyWanted))
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const tables = createOverlay(base, heads, createCutOffIndex(cutOffs), policy)
    const missing = new Set<string>()
    const values: unknown[] = []
    for (const transaction of transactions) {
      try {
        values.push(apply(tables, policy, transaction))
      } catch (error) {
        if (error instanceof Missing) missing.add(error.key)
        // After the first that is missing the others see half of what they should.
        else if (missing.size === 0) throw error
      }
    }
    if (missing.size === 0) return { tables, values }
    await load(client, base, missing)
  }
  throw new Error('a transaction wants to know without end')
}

/** What a transaction is sure to ask for: the hot ones need no second round. */
function surelyWanted(transaction: Transaction): string[] {
  const session = (sid: string) => JSON.stringify(['session', sid])
  switch (transaction.kind) {
    case 'refresh':
      return [session(transaction.request.sid)]
    case 'revoke': {
      const which = sessionsOf(transaction.request)
      return Array.isArray(which) ? which.map(session) : [JSON.stringify(['live', which.sub])]
    }
    case 'seen':
      return transaction.sids.map(session)
    default:
      return []
  }
}
