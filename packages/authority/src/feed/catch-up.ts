import type { LogPosition } from '../domain/revocation.ts'
import type { Store } from '../store/store.ts'
import { concerns, type Group } from './groups.ts'
import { type ConnectedGuard, framesOf, sendAndWait } from './guard-socket.ts'
import { lineOf, mattersSince, toRecord } from './record.ts'

const PAGE = 1_000

type Options = {
  store: Store
  since: LogPosition
  /** The time in ms. */
  now: () => number
  /** The newest revocation that was published. */
  newest: () => LogPosition
  /** Resolves once all that was committed by then was published. */
  caughtUp: () => Promise<void>
}

/**
 * Sends a guard what was revoked after `since`, page by page and as fast as it reads. Before the last page what is published
 * begins to be held for it: it has everything up to `upTo` then, and what comes after is in what was held.
 * @returns the newest that it was sent, and up to where it has everything; nothing when the log does not reach back, or is not
 * the one that the guard has followed
 * @throws when it reads too slowly, or is gone; StoreUnavailable
 */
export async function catchUp(
  guard: ConnectedGuard,
  group: Group,
  options: Options,
): Promise<{ prev: number; upTo: LogPosition } | undefined> {
  const { store, newest, caughtUp } = options
  const since = options.since.seq
  // It may have got its place from another process, which is further.
  await caughtUp()
  if (since > 0 && (await store.read({ kind: 'tag', seq: since })) !== options.since.tag) return undefined
  guard.acknowledged = Math.max(guard.acknowledged, since)
  let after = since
  let prev = since
  for (;;) {
    // What another process has committed and we have not published yet comes when it is.
    const upTo = newest()
    const query = { kind: 'revocations', after, since: mattersSince(options.now()), limit: PAGE } as const
    const [page, head] = await Promise.all([store.read(query), store.read({ kind: 'head' })])
    if (head.first > since + 1) return undefined
    const lines: string[] = []
    for (const revocation of page) {
      if (revocation.seq > upTo.seq) break
      const record = concerns(group, revocation) ? toRecord(revocation) : undefined
      if (!record) continue
      lines.push(lineOf(record, revocation.tag, prev))
      prev = record.seq
    }
    for (const frame of framesOf(lines)) await sendAndWait(guard, frame)
    const last = page.at(-1)?.seq ?? upTo.seq
    const whole = page.length < PAGE || last >= upTo.seq
    if (whole && guard.held) return { prev, upTo }
    after = whole ? Math.max(after, upTo.seq) : last
    if (whole) guard.held = { frames: [], bytes: 0 }
  }
}
