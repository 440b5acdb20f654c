import type { Cache } from './cache.ts'
import type { Known } from './judge.ts'
import { isSet, setBit } from './status.ts'
import type { RevocationView } from './view.ts'

export type SessionEnded = { sid: string; reason: string; seq: number }
type Listener = (ended: SessionEnded) => void

/**
 * Tells an API which sessions end. A cut-off names none: of those that this guard knows, it ends the ones that it
 * leaves no live token.
 * @returns how to listen, which returns how to stop
 */
export function announceEndings(
  view: RevocationView,
  known: Cache<Known>,
): (listener: Listener) => () => void {
  const listeners = new Set<Listener>()
  const tell = (ended: SessionEnded) => {
    for (const listener of listeners) {
      try {
        listener(ended)
      } catch {
        // One listener's fault must not keep the others from hearing.
      }
    }
  }
  view.onApply((record) => {
    const { reason, seq } = record
    if ('sid' in record) {
      if (record.jti === undefined) tell({ sid: record.sid, reason, seq })
      return
    }
    const dead = new Set<string>()
    const alive = new Set<string>()
    for (const token of known.values()) {
      const { sid } = token.session
      if (isSet(token)) continue
      if (!view.cutOff(token.session)) alive.add(sid)
      else {
        setBit(token)
        dead.add(sid)
      }
    }
    for (const sid of dead) if (!alive.has(sid)) tell({ sid, reason, seq })
  })
  return (listener) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }
}
