import type { LogPosition } from '../domain/revocation.ts'
import type { Store } from '../store/store.ts'
import { concerns, type Group } from './groups.ts'
import { type ConnectedGuard, framesOf, sendAndWait } from './guard-socket.ts'
import { lineOf, mattersSince, toRecord } from './record.ts'

const PAGE = 1_000

/**
 * Sends a guard what was revoked after `since`, page by page and as fast as it reads.
 * @param options.now the time in ms
 * @param options.newest the newest revocation that was published
 * @returns the newest of it, in the turn in which the guard has everything that was published, so that it can be sent
 * what comes next; nothing when the log does not reach back, or is not the one that the guard has followed
 * @throws when it reads too slowly, or is gone; StoreUnavailable
 */
export async function catchUp(
  guard: ConnectedGuard,
  group: Group,
  options: { store: Store; since: LogPosition; now: () => number; newest: () => number },
): Promise<number | undefined> {
  const { store, now, newest } = options
  const since = options.since.seq
  if (since > 0 && (await store.read({ kind: 'tag', seq: since })) !== options.since.tag) return undefined
  guard.acknowledged = Math.max(guard.acknowledged, since)
  let after = since
  let prev = since
  for (;;) {
    const query = { kind: 'revocations', after, since: mattersSince(now()), limit: PAGE } as const
    const [page, head] = await Promise.all([store.read(query), store.read({ kind: 'head' })])
    if (head.first > since + 1) return undefined
    const lines: string[] = []
    for (const revocation of page) {
      const record = concerns(group, revocation) ? toRecord(revocation) : undefined
      if (!record) continue
      lines.push(lineOf(record, revocation.tag, prev))
      prev = record.seq
    }
    after = page.at(-1)?.seq ?? after
    // What is committed is published before a read that sees it is answered: nothing lies between this page and what
    // is published next.
    const whole = page.length < PAGE && newest() <= head.seq
    if (whole && lines.length === 0) return prev
    for (const frame of framesOf(lines)) await sendAndWait(guard, frame)
  }
}
