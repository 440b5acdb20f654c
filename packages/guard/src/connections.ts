import { getEventListeners } from 'node:events'
import { GuardError } from './errors.ts'
import { isSet, type Place, setBit } from './status.ts'
import type { RevocationView } from './view.ts'

/** What a connection has to know of the token that it was opened with. */
export type TokenOfConnection = {
  sid: string
  jti: string
  clientId: string
  /** In seconds. */
  iat: number
  exp: number
  status?: { idx: number; uri: string }
}

/** Why a connection has to close: a reason of the authority's, `revoked` when it is not known, or `token_expired`. */
export type Close = (reason: string) => unknown

export type Connections = {
  /**
   * Closes a connection when its session, or the token it was opened with, is revoked; and when that token has
   * expired, no newer one of the session has been seen, and the grace is over. If it is too late already, it closes at
   * once. Returns how to take it off: call that when the connection closes by itself.
   */
  add(token: TokenOfConnection, close: Close): () => void
  /** How many are open. */
  readonly size: number
}

/** A token is kept in mind for this long after it expired, in seconds: clocks differ. */
const LINGER = 60

type Seen = { iat: number; exp: number; clientId: string; place?: Place; controller?: AbortController }
type Open = { jti: string; close: Close }
type Held = { tokens: Map<string, Seen>; open: Set<Open> }

export type Holds = Connections & {
  /** A token of a session was checked: the session's connections live on with it. */
  see(token: TokenOfConnection): void
  signal(token: TokenOfConnection): AbortSignal
  /** Looks at every token again, after the status lists were read anew. */
  recheck(): void
  /** Closes what has outlived its tokens, and forgets what nobody waits for. */
  sweep(): void
}

/**
 * The connections and signals of an API, by session.
 * @param options.now the time in ms
 * @param options.grace how long a connection may outlive its session's newest token, in ms
 * @param options.onError hears what closing a connection threw
 */
export function createHolds(options: {
  view: RevocationView
  now: () => number
  grace: number
  onError?: (error: Error) => void
}): Holds {
  const { view, now, grace, onError } = options
  const held = new Map<string, Held>()
  const hold = ({ sid, jti, iat, exp, clientId, status }: TokenOfConnection) => {
    const entry: Held = held.get(sid) ?? { tokens: new Map(), open: new Set() }
    const seen: Seen = entry.tokens.get(jti) ?? { iat, exp, clientId, place: view.bits.place(status) }
    entry.tokens.set(jti, seen)
    held.set(sid, entry)
    return { entry, seen }
  }
  const dead = (token: TokenOfConnection) => view.dead(token) || view.reasonOf(token) !== undefined
  view.onApply((record) => {
    if ('sid' in record) return kill(held, record.sid, record.jti, record.reason, onError)
    for (const entry of held.values())
      for (const seen of entry.tokens.values()) if (seen.place && view.cutOff(seen)) setBit(seen.place)
    recheck(held, now(), record.reason, onError)
  })

  return {
    see(token) {
      if (held.size > 0 && held.has(token.sid)) hold(token)
    },
    signal(token) {
      if (dead(token)) return AbortSignal.abort(ended(view.reasonOf(token) ?? 'revoked'))
      const { seen } = hold(token)
      seen.controller ??= new AbortController()
      return seen.controller.signal
    },
    add(token, close) {
      const one: Open = { jti: token.jti, close }
      const { entry } = hold(token)
      entry.open.add(one)
      // Revoked between the check and now.
      if (dead(token)) kill(held, token.sid, token.jti, view.reasonOf(token) ?? 'revoked', onError)
      return () => {
        entry.open.delete(one)
      }
    },
    recheck: () => recheck(held, now(), 'revoked', onError),
    sweep() {
      for (const [sid, entry] of [...held]) {
        sweep(entry, now(), grace, onError)
        if (entry.tokens.size === 0 && entry.open.size === 0) held.delete(sid)
      }
    },
    get size() {
      let open = 0
      for (const entry of held.values()) open += entry.open.size
      return open
    },
  }
}

type OnError = ((error: Error) => void) | undefined

function shut(entry: Held, one: Open, reason: string, onError: OnError) {
  entry.open.delete(one)
  try {
    const closing: unknown = one.close(reason)
    if (closing instanceof Promise) closing.catch((error: unknown) => onError?.(error as Error))
  } catch (error) {
    // Others still have to be closed.
    onError?.(error as Error)
  }
}

/** Ends what a session holds; or, with a `jti`, only what was opened with that token. */
function kill(
  held: Map<string, Held>,
  sid: string,
  jti: string | undefined,
  reason: string,
  onError: OnError,
) {
  const entry = held.get(sid)
  if (!entry) return
  for (const one of [...entry.open])
    if (jti === undefined || one.jti === jti) shut(entry, one, reason, onError)
  for (const [token, { controller }] of [...entry.tokens]) {
    if (jti !== undefined && jti !== token) continue
    entry.tokens.delete(token)
    controller?.abort(ended(reason))
  }
  if (entry.tokens.size === 0 && entry.open.size === 0) held.delete(sid)
}

/** What died is seen by its bit: after the lists were read anew, when nobody said why, and after a cut-off. */
function recheck(held: Map<string, Held>, now: number, reason: string, onError: OnError) {
  for (const [sid, { tokens }] of [...held]) {
    const unexpired = [...tokens].filter(([, { exp }]) => exp * 1000 > now)
    const killed = unexpired.filter(([, { place }]) => place && isSet(place))
    if (killed.length === 0) continue
    if (killed.length === unexpired.length) kill(held, sid, undefined, reason, onError)
    else for (const [jti] of killed) kill(held, sid, jti, reason, onError)
  }
}

function sweep({ tokens, open }: Held, now: number, grace: number, onError: OnError) {
  const newest = Math.max(0, ...[...tokens.values()].map(({ exp }) => exp))
  if (newest * 1000 + grace <= now)
    for (const one of [...open]) shut({ tokens, open }, one, 'token_expired', onError)
  for (const [jti, { exp, controller }] of [...tokens]) {
    if ((exp + LINGER) * 1000 > now || (controller && isListenedTo(controller.signal))) continue
    // While a connection is open, the session's newest token says for how long.
    if (open.size === 0 || exp < newest) tokens.delete(jti)
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
