import type { Client } from 'pg'
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

/**
 * Carries out what has gathered, in one transaction with one sync. One group at a time of all processes: whoever has the row of
 * the heads is the only one who writes, so that the log has no gaps, the audit log is one chain, and every decision sees
 * what was decided before it.
 * @param forgetBefore records that expired before this, in s, are forgotten
 * @throws when nothing of it was written, or, if the connection broke during the commit, perhaps all of it
 */
export async function commitGroup(
  client: Client,
  transactions: readonly Transaction[],
  policy: Policy,
  forgetBefore: number | undefined,
): Promise<Group> {
  await client.query('BEGIN')
  try {
    const before = await lockHeads(client)
    const overlay = await decide(client, transactions, policy, before)
    if (forgetBefore !== undefined) await client.query(FORGET, [forgetBefore, FORGET_AT_ONCE])
    await flush(client, overlay.tables.writes, overlay.tables.heads, before)
    await client.query('COMMIT')
    return { values: overlay.values, logged: overlay.tables.logged }
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}

async function lockHeads(client: Client): Promise<Heads> {
  const { rows } = await client.query({ name: 'lock', text: 'SELECT * FROM heads FOR UPDATE' })
  const { seq, tag, audit_n: n, audit_hash: hash, keys } = rows[0]
  return { seq, tag, audit: { n, hash }, keys }
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
