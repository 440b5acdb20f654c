import { createCache } from './cache.ts'
import type { RevocationRecord } from './protocol.ts'
import { createStatusBits, isSet, type StatusBits } from './status.ts'

/** Every revocation that can still matter, in memory: one bit for each token. */
export type RevocationView = {
  bits: StatusBits
  /** Takes in a record; false when it was known, so duplicates and replays do no harm. @throws RangeError */
  apply(record: RevocationRecord): boolean
  /** Whether this token was revoked, by itself or with its session. */
  dead(token: { status?: { idx: number; uri: string } }): boolean
  /** Why, where that is still remembered: the newest ten thousand are. */
  reasonOf(token: { sid: string; jti: string }): string | undefined
  /** Hears each record once; returns how to stop. */
  onApply(listener: (record: RevocationRecord) => void): () => void
  /** The newest record that was applied. */
  readonly seq: number
}

const REASONS_KEPT = 10_000

/** An empty view of one issuer's tokens. */
export function createRevocationView(issuer: string): RevocationView {
  const bits = createStatusBits(issuer)
  const ended = createCache<RevocationRecord>(REASONS_KEPT)
  const listeners = new Set<(record: RevocationRecord) => void>()
  let seq = 0
  return {
    bits,
    apply(record) {
      for (const index of record.tokens) bits.mark(index)
      seq = Math.max(seq, record.seq)
      const key = record.jti === undefined ? record.sid : `${record.sid} ${record.jti}`
      if (ended.get(key)) return false
      ended.set(key, record)
      for (const listener of listeners) {
        try {
          listener(record)
        } catch {
          // One listener's fault must not keep the others from hearing.
        }
      }
      return true
    },
    dead({ status }) {
      const place = bits.place(status)
      return place !== undefined && isSet(place)
    },
    reasonOf: ({ sid, jti }) => (ended.get(sid) ?? ended.get(`${sid} ${jti}`))?.reason,
    onApply(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    get seq() {
      return seq
    },
  }
}
