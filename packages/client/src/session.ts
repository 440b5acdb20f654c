import { RescindClientError } from './errors.ts'
import type { Claims, Ended, Held, SessionStore, Tokens } from './platform.ts'

/** What an app sees of its session. Only one that is live has a `signal`: it aborts when the session ends. */
export type SessionState =
  /** The store has not been read yet. */
  | { status: 'unknown' }
  | { status: 'signed-out' }
  | { status: 'signed-in'; sub: string; sid: string; claims: Claims; signal: AbortSignal }
  | ({ status: 'ended' } & Omit<Ended, 'to'>)

export type Live = Held & { tokens: Tokens }

export type SessionCore = ReturnType<typeof createSessionCore>

/**
 * The session of this device, as this tab knows it. The store is the truth: it is looked at before each request, so a tab
 * that slept learns what happened before it sends anything.
 * @param changed hears of each change of state
 * @param lost does what is left to do in this tab when another has ended it
 */
export function createSessionCore(
  store: SessionStore,
  changed: () => void,
  lost: (ended: Ended) => Promise<unknown>,
) {
  let held: Held | undefined
  /** How it ended in this page; then nothing is sent any more until somebody signs in here. */
  let over: Ended | undefined
  let life = new AbortController()
  let state: SessionState = { status: 'unknown' }

  function adopt(now: Held) {
    const before = held
    held = now
    if (before?.version === now.version) return
    state = stateOf(now, life.signal)
    changed()
  }

  /** Ends it in this page, at once: requests in flight are aborted, and the tokens are forgotten. */
  function close(ended: Ended) {
    over = ended
    life.abort(sessionEnded(ended))
    held = { epoch: held?.epoch ?? 0, version: held?.version ?? 0, ended }
    state = stateOf(held, life.signal)
    changed()
  }

  /** Reads what there is now. Somebody else’s session is nothing that a page of the old one may go on with. */
  async function look(): Promise<Held> {
    const now = await store.read(held)
    const before = held
    if (over) return now
    if (before?.tokens && before.epoch !== now.epoch && before.tokens.claims.sub !== now.tokens?.claims.sub) {
      const ended = now.ended ?? { reason: 'unknown', at: new Date().toISOString(), to: '/' }
      close(ended)
      await lost(ended)
      return now
    }
    adopt(now)
    return now
  }

  /** @throws RescindClientError NOT_SIGNED_IN, SESSION_ENDED */
  async function live(): Promise<Live> {
    const now = over ? undefined : await look()
    if (over) throw sessionEnded(over)
    if (!now?.tokens) throw new RescindClientError('NOT_SIGNED_IN', 'Nobody is signed in. Call `signIn()`.')
    return now as Live
  }

  return {
    look,
    live,
    close,
    /** Takes what a refresh brought. */
    adopt,
    /** Takes a new sign-in. */
    begin(now: Held) {
      over = undefined
      life = new AbortController()
      adopt(now)
    },
    held: () => held,
    over: () => over,
    signal: () => life.signal,
    state: () => state,
  }
}

function stateOf({ tokens, ended }: Held, signal: AbortSignal): SessionState {
  if (tokens) {
    const { claims } = tokens
    return { status: 'signed-in', sub: claims.sub, sid: claims.sid, claims, signal }
  }
  if (!ended) return { status: 'signed-out' }
  const { to: _, ...told } = ended
  return { status: 'ended', ...told }
}

export function sessionEnded(ended?: Ended): RescindClientError {
  const message = 'The session has ended. Call `signIn()`.'
  return new RescindClientError('SESSION_ENDED', message, ended?.reason)
}
