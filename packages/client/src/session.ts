import { RescindClientError } from './errors.ts'
import type { Claims, Ended, Held, Platform, Tokens } from './platform.ts'
import { within } from './within.ts'

/** What an app sees of its session. Only one that is live has a `signal`: it aborts when the session ends. */
export type SessionState =
  /** The store has not been read yet. */
  | { status: 'unknown' }
  | { status: 'signed-out' }
  | { status: 'signed-in'; sub: string; sid: string; claims: Claims; signal: AbortSignal }
  | ({ status: 'ended' } & Omit<Ended, 'to'>)

export type Live = Held & { tokens: Tokens }

/** A token that is about to expire is not worth sending, in ms. */
const MARGIN = 10_000
const REFRESH_PATIENCE = 10_000

export type SessionCore = ReturnType<typeof createSessionCore>

/**
 * The session of this device, as this tab knows it. The store is the truth: it is looked at before each request, so a tab
 * that slept learns what happened before it sends anything.
 * @param changed hears of each change of state
 * @param lost ends the session of this tab; with `ended`, when that happened elsewhere
 */
export function createSessionCore(
  platform: Platform,
  changed: () => void,
  lost: (ended: Ended | undefined, held: Live) => Promise<unknown>,
) {
  const { store } = platform
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
      await lost(ended, before as Live)
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

  /**
   * The session with other tokens than these: those that another tab has got meanwhile, or new ones.
   * @throws RescindClientError NOT_SIGNED_IN, SESSION_ENDED, UNAVAILABLE
   */
  async function renew(used: Live): Promise<Live> {
    return platform.lock('refresh', async () => {
      const now = await live()
      if (now.version !== used.version) return now
      const fresh = await within(
        REFRESH_PATIENCE,
        (signal) => platform.refresh(now.tokens, signal),
        life.signal,
      ).catch((error) => {
        if (over) throw sessionEnded(over)
        if ((error as RescindClientError).code === 'REFUSED') return undefined
        throw new RescindClientError(
          'UNAVAILABLE',
          'The authority can’t be reached. Try again.',
          undefined,
          error,
        )
      })
      if (!fresh) {
        await lost(undefined, now)
        throw sessionEnded(over)
      }
      const kept = await store.save(fresh, now.epoch)
      // The session ended while they were on their way: nobody gets them, and its ticket is in the queue.
      if (!kept) await look()
      else if (!over) adopt(kept)
      return live()
    })
  }

  return {
    look,
    close,
    renew,
    /** The live session, with a token that can be used. @throws as `renew` */
    async current(): Promise<Live> {
      const now = await live()
      return now.tokens.expiresAt - MARGIN > Date.now() ? now : renew(now)
    },
    /** Takes a new sign-in. */
    adopt(now: Held) {
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
