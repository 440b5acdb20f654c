import { getEventListeners } from 'node:events'
import { GuardError } from './errors.ts'

/** One revocation, as a guard has to know it. */
export type RevocationRecord = {
  seq: number
  /** When, in ms. */
  at: number
  sid: string
  /** Present: only this access token died. Absent: the session ended. */
  jti?: string
  /** When the last access token that it kills expires, in seconds. */
  exp: number
  reason: string
}

export type Verdict = { seq: number; at: number; reason: string } | undefined

/** Every revocation that can still matter, in memory. */
export type RevocationView = {
  /** Takes in a record; false when it was known, so duplicates and replays do no harm. */
  apply(record: RevocationRecord): boolean
  /** Why this token is dead, or nothing while it lives. */
  dead(token: { sid: string; jti: string }): Verdict
  /**
   * Aborts when this token or its session dies; its reason is a GuardError AUTHENTICATION_FAILED with `reason`. A
   * stream may outlive its token (`exp`, in seconds), so a signal is kept for as long as somebody listens to it:
   * take the listener off when the stream closes.
   */
  signal(token: { sid: string; jti: string; exp: number }): AbortSignal
  /** Hears each record once; returns how to stop. */
  onApply(listener: (record: RevocationRecord) => void): () => void
  /** Forgets what can no longer matter: old records, signals of expired tokens. @param now the time in ms */
  sweep(now: number): void
  readonly seq: number
  readonly size: number
}

/** Kept this long after the last token has expired, in seconds: clocks differ. */
const LINGER = 60

/** The signals of one session, by `jti`. */
type Watched = Map<string, { controller: AbortController; exp: number }>

/** An empty view. */
export function createRevocationView(): RevocationView {
  const sessions = new Map<string, RevocationRecord>()
  const tokens = new Map<string, RevocationRecord>()
  const watched = new Map<string, Watched>()
  const listeners = new Set<(record: RevocationRecord) => void>()
  let seq = 0

  function abort({ sid, jti, reason }: RevocationRecord) {
    const signals: Watched = watched.get(sid) ?? new Map()
    for (const [token, { controller }] of signals) {
      if (jti !== undefined && jti !== token) continue
      signals.delete(token)
      controller.abort(ended(reason))
    }
    if (signals.size === 0) watched.delete(sid)
  }
  function dead({ sid, jti }: { sid: string; jti: string }): Verdict {
    const record = sessions.get(sid) ?? tokens.get(jti)
    return record && { seq: record.seq, at: record.at, reason: record.reason }
  }
  return {
    dead,
    apply(record) {
      seq = Math.max(seq, record.seq)
      const [records, key] = record.jti === undefined ? [sessions, record.sid] : [tokens, record.jti]
      if (records.has(key)) return false
      records.set(key, record)
      abort(record)
      for (const listener of listeners) {
        try {
          listener(record)
        } catch {
          // One listener's fault must not keep the others from hearing.
        }
      }
      return true
    },
    signal(token) {
      const verdict = dead(token)
      if (verdict) return AbortSignal.abort(ended(verdict.reason))
      const signals: Watched = watched.get(token.sid) ?? new Map()
      const { controller } = signals.get(token.jti) ?? { controller: new AbortController() }
      signals.set(token.jti, { controller, exp: token.exp })
      watched.set(token.sid, signals)
      return controller.signal
    },
    onApply(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    sweep(now) {
      const before = now / 1000 - LINGER
      for (const records of [sessions, tokens]) {
        for (const [key, { exp }] of records) if (exp < before) records.delete(key)
      }
      for (const [sid, signals] of watched) {
        for (const [jti, { controller, exp }] of signals) {
          if (exp < before && !isListenedTo(controller.signal)) signals.delete(jti)
        }
        if (signals.size === 0) watched.delete(sid)
      }
    },
    get seq() {
      return seq
    },
    get size() {
      return sessions.size + tokens.size
    },
  }
}

function isListenedTo(signal: AbortSignal): boolean {
  return getEventListeners(signal, 'abort').length > 0
}

function ended(reason: string): GuardError {
  return new GuardError(
    'AUTHENTICATION_FAILED',
    `The session has ended: ${reason}. Sign in again.`,
    {},
    reason,
  )
}
