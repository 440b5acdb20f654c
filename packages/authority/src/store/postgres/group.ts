import type { Client, QueryResult } from 'pg'
import type { Anchor } from '../../domain/audit.ts'
import type { Policy } from '../../domain/policy.ts'
import { type LoggedRevocation, sessionsOf } from '../../domain/revocation.ts'
import { apply } from '../apply.ts'
import { addingTo, type CutOffIndex } from '../cut-off-index.ts'
import type { Transaction } from '../store.ts'
import { prepared } from './connection.ts'
import type { createCutOffReading } from './cut-offs.ts'
import { CHANNEL, flush } from './flush.ts'
import { load, Missing } from './load.ts'
import { createOverlay, type Overlay } from './overlay.ts'
import type { Heads } from './writes.ts'

export type Group = { values: unknown[]; logged: LoggedRevocation[] }

/** The cut-offs as they were at a place in the log. */
export type KnownCutOffs = {
  place?: string
  all: CutOffIndex
  read: ReturnType<typeof createCutOffReading>
}

type GroupOptions = { cutOffs: KnownCutOffs; forgetBefore: number | undefined; partition?: number }

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
 * @param options.cutOffs what the last group knew of them, for the next one
 * @param options.forgetBefore records that expired before this, in s, are forgotten
 * @throws CommitUnknown; any other error when nothing of it was written
 */
export async function commitGroup(
  client: Client,
  transactions: readonly Transaction[],
  policy: Policy,
  options: GroupOptions,
): Promise<Group> {
  const { before, overlay, heard } = await write(client, transactions, policy, options)
  const { values, tables } = overlay
  const group = { values, logged: tables.logged }
  try {
    await commit(client, heard)
    const { seq, tag } = tables.heads
    const added = tables.logged.some(({ what }) => what === 'cut_off')
    options.cutOffs.place = added ? undefined : `${seq} ${tag}`
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
  { forgetBefore, partition, cutOffs }: GroupOptions,
) {
  try {
    const before = await lockHeads(client)
    const overlay = await decide(client, transactions, policy, before, await known(client, before, cutOffs))
    if (forgetBefore !== undefined) await client.query(FORGET, [forgetBefore, FORGET_AT_ONCE])
    const { writes, heads } = overlay.tables
    const heard = await flush(client, writes, heads, before, partition)
    return { before, overlay, heard }
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

/**
 * A server that stops waiting for its synchronous replica says so in a warning, and then that it has committed: a fail-over
 * would take that back.
 */
async function commit(client: Client, heard: boolean): Promise<void> {
  let warned = false
  const warn = () => {
    warned = true
  }
  client.on('notice', warn)
  try {
    await client.query(heard ? `NOTIFY ${CHANNEL}; COMMIT` : 'COMMIT')
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
  await lockHeads(client)
  const { rows } = await client.query('SELECT FROM audit WHERE n = $1 AND hash = $2', [n, hash])
  await commit(client, false)
  return rows.length > 0
}

/** Begins the transaction, too. */
async function lockHeads(client: Client): Promise<Heads> {
  const answers: unknown = await client.query('BEGIN; SELECT * FROM heads FOR UPDATE')
  const [, { rows }] = answers as [unknown, QueryResult]
  const { seq, tag, audit_n: n, audit_hash: hash, keys, clients } = rows[0]
  return { seq, tag, audit: { n, hash }, keys, clients }
}

/** All cut-offs; they are read again when somebody else has written to the log, without which there is no new one. */
async function known(client: Client, { seq, tag }: Heads, cutOffs: KnownCutOffs): Promise<CutOffIndex> {
  const place = `${seq} ${tag}`
  if (cutOffs.place !== place) {
    cutOffs.all = await cutOffs.read(
      async (sql, values = []) => (await client.query(prepared(sql, values))).rows,
    )
    cutOffs.place = place
  }
  return cutOffs.all
}

/** Decides in memory, as often as something turns out to be missing there. */
async function decide(
  client: Client,
  transactions: readonly Transaction[],
  policy: Policy,
  heads: Heads,
  cutOffs: CutOffIndex,
): Promise<{ tables: Overlay; values: unknown[] }> {
  const base = new Map<string, unknown>()
  await load(client, base, transactions.flatMap(surelyWanted))
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const tables = createOverlay(base, heads, addingTo(cutOffs), policy)
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
