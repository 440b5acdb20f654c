import { createCache } from './cache.ts'
import { createCutOffs, type IssuedToken } from './cut-offs.ts'
import type { RevocationRecord } from './protocol.ts'
import { createStatusBits, isSet, type StatusBits } from './status.ts'

/** Every revocation that can still matter, in memory: one bit for each token. */
export type RevocationView = {
  bits: StatusBits
  /** Takes in a record; false when it was known, so duplicates and replays do no harm. @throws RangeError */
  apply(record: RevocationRecord): boolean
  /** Whether this token was revoked, by itself, with its session, or by a cut-off. */
  dead(token: IssuedToken & { status?: { idx: number; uri: string } }): boolean
  /** Whether a cut-off killed it: its bit may not say so. */
  cutOff(token: IssuedToken): boolean
  /** Tokens of a client that were issued before this, in s, are dead. */
  aliveFrom(clientId: string): number
  /** Why, where that is still remembered: the newest ten thousand are. */
  reasonOf(token: IssuedToken & { sid: string; jti: string }): string | undefined
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
  const cutOffs = createCutOffs()
  const listeners = new Set<(record: RevocationRecord) => void>()
  let seq = 0
  return {
    bits,
    apply(record) {
      if ('before' in record) cutOffs.add(record)
      else for (const index of record.tokens) bits.mark(index)
      seq = Math.max(seq, record.seq)
      const key = keyOf(record)
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
    dead(token) {
      const place = bits.place(token.status)
      return (place !== undefined && isSet(place)) || cutOffs.over(token) !== undefined
    },
    aliveFrom: cutOffs.aliveFrom,
    cutOff: (token) => cutOffs.over(token) !== undefined,
    reasonOf: (token) =>
      (ended.get(token.sid) ?? ended.get(`${token.sid} ${token.jti}`) ?? cutOffs.over(token))?.reason,
    onApply(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    get seq() {
      return seq
    },
  }
}

function keyOf(record: RevocationRecord): string {
  if ('before' in record) return `cut-off ${record.seq}`
  return record.jti === undefined ? record.sid : `${record.sid} ${record.jti}`
}
