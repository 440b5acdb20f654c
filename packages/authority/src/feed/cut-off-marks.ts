import type { StatusBits } from '@rescind/guard/status'
import type { LogPosition } from '../domain/revocation.ts'
import type { Store } from '../store/store.ts'

const PAGE = 2_000
const RETRY = 1_000

/**
 * Guards are told of a cut-off in one message; who reads the status lists alone has to find each dead token's bit set.
 * That takes a look at every session, or at every one of a client: page by page, beside all else.
 */
export type CutOffMarks = {
  /** A cut-off was committed; `before` is the place in the log that it came after. */
  order(cutOff: { seq: number; clientId?: string }, before: LogPosition): void
  /** The newest place, of those up to `head`, that the bits know whole. */
  known(head: LogPosition): LogPosition
  close(): void
}

/** @param now the time in ms */
export function createCutOffMarks(store: Store, bits: StatusBits, now: () => number): CutOffMarks {
  // What came before each, so that the bits are known to be whole up to there; and whose tokens it kills.
  const ordered = new Map<number, { before: LogPosition; clientId?: string }>()
  let marking = false
  let closed = false

  async function markAll() {
    const all = [...ordered]
    const clientIds = new Set(all.map(([, { clientId }]) => clientId))
    for (const clientId of clientIds.has(undefined) ? [undefined] : clientIds) await mark(clientId)
    for (const [seq] of all) ordered.delete(seq)
  }
  async function mark(clientId: string | undefined) {
    const of = clientId === undefined ? {} : { clientId }
    for (let after = 0; ; ) {
      const query = { kind: 'cut-off-tokens', ...of, after, at: now(), limit: PAGE } as const
      const { indexes, next } = await store.read(query)
      for (const index of indexes) bits.mark(index)
      if (closed || next === after) return
      after = next
    }
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
    order({ seq, clientId }, before) {
      ordered.set(seq, { before, clientId })
      void work()
    },
    known: (head) =>
      [...ordered.values()].reduce((one, { before }) => (before.seq < one.seq ? before : one), head),
    close() {
      closed = true
    },
  }
}
