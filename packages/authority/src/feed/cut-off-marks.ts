import type { StatusBits } from '@rescind/guard/status'
import type { LogPosition } from '../domain/revocation.ts'
import type { Store } from '../store/store.ts'

const PAGE = 2_000
const RETRY = 1_000

/**
 * Guards are told of a cut-off in one message; who reads the status lists alone has to find each dead token's bit set.
 * That takes a look at every session: page by page, beside all else.
 */
export type CutOffMarks = {
  /** A cut-off was committed; `before` is the place in the log that it came after. */
  order(seq: number, before: LogPosition): void
  /** The newest place, of those up to `head`, that the bits know whole. */
  known(head: LogPosition): LogPosition
  close(): void
}

/** @param now the time in ms */
export function createCutOffMarks(store: Store, bits: StatusBits, now: () => number): CutOffMarks {
  // What came before each, so that the bits are known to be whole up to there.
  const ordered = new Map<number, LogPosition>()
  let marking = false
  let closed = false

  async function markAll() {
    const all = [...ordered.keys()]
    for (let after = 0; ; ) {
      const { indexes, next } = await store.read({ kind: 'cut-off-tokens', after, at: now(), limit: PAGE })
      for (const index of indexes) bits.mark(index)
      if (closed || next === after) break
      after = next
    }
    for (const seq of all) ordered.delete(seq)
  }
  async function work() {
    if (marking) return
    marking = true
    while (ordered.size > 0 && !closed) {
      await markAll().catch(() => new Promise((resolve) => setTimeout(resolve, RETRY).unref()))
    }
    marking = false
  }
  return {
    order(seq, before) {
      ordered.set(seq, before)
      void work()
    },
    known: (head) => [...ordered.values()].reduce((one, other) => (other.seq < one.seq ? other : one), head),
    close() {
      closed = true
    },
  }
}
