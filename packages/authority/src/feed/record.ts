import type { FeedMessage, RevocationRecord } from '@rescind/guard/protocol'
import { cutOffSecond } from '../domain/cut-off.ts'
import { MAX_ACCESS_TOKEN_TTL } from '../domain/policy.ts'
import type { LoggedRevocation } from '../domain/revocation.ts'
import type { Store } from '../store/store.ts'

/** A record matters to a guard for this long after the last token has expired, in s: clocks differ. */
const LINGER = 60

/** What a guard has to know of a revocation; nothing, where only refreshing was stopped. */
export function toRecord(revocation: LoggedRevocation): RevocationRecord | undefined {
  if (revocation.what === 'refresh_token') return undefined
  if (revocation.what === 'cut_off') {
    const { seq, at, reason, clientId } = revocation
    const before = cutOffSecond(revocation)
    return { seq, at, reason, before, ...(clientId === undefined ? {} : { clientId }) }
  }
  const { seq, at, sid, jti, reason, tokens } = revocation
  const indexes = tokens.flatMap(({ idx }) => (idx >= 0 ? [idx] : []))
  return { seq, at, sid, ...(jti === undefined ? {} : { jti }), reason, tokens: indexes }
}

/**
 * A record as one line of the feed.
 * @param tag what it is told from another log's by
 * @param prev the one before it, of those that are for this guard
 */
export function lineOf(record: RevocationRecord, tag: string, prev: number): string {
  const place = { tag, prev }
  const message: FeedMessage =
    'before' in record
      ? { type: 'cut-off', ...record, ...place }
      : { type: 'revocation', ...record, ...place }
  return JSON.stringify(message)
}

/** Since when, in ms, a revocation can still matter at `now` (ms): by the longest life that any configuration allows. */
export function mattersSince(now: number): number {
  return now - (MAX_ACCESS_TOKEN_TTL + LINGER) * 1000
}

/** Reads from the log, page by page, all after `seq` that can still matter. */
export async function* stillMatters(
  store: Store,
  now: number,
  after = 0,
): AsyncGenerator<LoggedRevocation[]> {
  const limit = 1_000
  for (let seq = after; ; ) {
    const page = await store.read({ kind: 'revocations', after: seq, since: mattersSince(now), limit })
    if (page.length > 0) yield page
    const last = page.at(-1)
    if (!last || page.length < limit) return
    seq = last.seq
  }
}
