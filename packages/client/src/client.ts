import { RescindClientError } from './errors.ts'
import { followEvents, type SessionEvent } from './events.ts'
import { createEnding, type LogoutResult } from './logout.ts'
import { createOutbox, type Delivery } from './outbox.ts'
import type { Ended, Platform, Tokens } from './platform.ts'
import { postForm } from './post-form.ts'
import { createSessionCore, type Live, type SessionState, sessionEnded } from './session.ts'
import { createSessions, type Sessions } from './sessions.ts'
import { within } from './within.ts'

/** What a client tells its app. */
export type ClientEvents = {
  /** The session of this device ended, here or anywhere. */
  'session-ended': { reason: string; at: string; page?: string }
  /** Another session of the account ended. */
  'other-session-ended': SessionEvent
  /** A logout was tried: what came of it. */
  delivery: Delivery
  /** `state()` is another. */
  change: undefined
}

export type LogoutOptions = {
  /** For the audit log. Default: `user_logout`. */
  reason?: 'user_logout' | 'device_removed' | 'account_switch' | 'app_uninstall'
  /** Where the app goes then; `false`: it stays. Default: the client’s `loginPage`. */
  redirectTo?: string | false
}

export type Client = {
  /** `fetch` with the access token, for the APIs of this client. A token that died is replaced once. @throws RescindClientError */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>
  /** Logs out. It always completes, within 2 s, and says what happened. */
  logout(options?: LogoutOptions): Promise<LogoutResult>
  /** What is known of the session; at first `unknown`. */
  state(): SessionState
  /** The same, once the store was read. */
  ready(): Promise<SessionState>
  /** @returns takes the listener off */
  on<E extends keyof ClientEvents>(event: E, listener: (value: ClientEvents[E]) => void): () => void
  /** Closes it when the session ends: a WebSocket, an EventSource, anything that has `close()`. */
  track<T extends { close(): unknown }>(connection: T): T
  sessions: Sessions
  /** Stops all that goes on by itself; the session lives on. */
  close(): void
}

export type CoreOptions = {
  /** The authority’s URL, its `issuer`. */
  authority: string
  clientId: string
  loginPage: string
  /** Where tokens may be sent to. */
  origins: string[]
  /** Where the app goes when the session was ended elsewhere; the authority has a page that says why, if it says so. */
  endedPage(page?: string): string | false
}

export type ClientCore = Client & {
  /** Takes a new sign-in, that was begun in this epoch. @throws RescindClientError SESSION_ENDED */
  opened(tokens: Tokens, epoch: number): Promise<void>
  epoch(): Promise<number>
  /** Looks at the store, and tries what waits: something has changed. */
  wake(): Promise<void>
  /** Asks the authority whether the session still lives, and ends it here if not. */
  check(): Promise<void>
  /** Follows the events, or stops while nobody looks. */
  follow(on: boolean): void
}

const ASK = 2_000

export function createClientCore(platform: Platform, options: CoreOptions): ClientCore {
  const { authority, clientId } = options
  const listeners = new Map<string, Set<(value: never) => void>>()
  const emit = <E extends keyof ClientEvents>(event: E, value: ClientEvents[E]) => {
    for (const listener of [...(listeners.get(event) ?? [])]) {
      // What an app's listener throws is the app's, and must not stop a logout.
      try {
        listener(value as never)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
  const core = createSessionCore(
    platform,
    () => {
      emit('change', undefined)
      if (core.state().status === 'signed-in') follow(following)
    },
    (ended, held) => (ended ? endTab(ended) : endedElsewhere(held)),
  )
  const tell = (delivery: Delivery) => emit('delivery', delivery)
  const outbox = createOutbox({ ...platform, authority, clientId, tell })
  const { endHere, endTab } = createEnding({
    ...{ platform, core, outbox },
    tell: ({ to: _, ...ended }) => emit('session-ended', ended),
  })

  /** What the authority says of a session, to whoever has its ticket. */
  async function why(ticket: string): Promise<Partial<Ended> & { ended?: boolean }> {
    try {
      return await within(ASK, async (signal) => {
        const response = await postForm(`${authority}/v1/ended`, { ticket }, signal)
        return response.ok ? ((await response.json()) as Partial<Ended>) : {}
      })
    } catch {
      return {}
    }
  }

  /** The authority or an API refuses this session. */
  async function endedElsewhere(held: Live, known?: Partial<Ended>): Promise<void> {
    // Perhaps it was replaced: then it is not ours any more.
    await core.look()
    if (core.over() || core.held()?.epoch !== held.epoch) return
    const told = known ? { ...known, ended: true } : await why(held.tokens.ticket)
    const page = told.page?.startsWith(`${authority}/`) ? told.page : undefined
    const { reason = 'unknown', at = new Date().toISOString() } = told
    const ended = { reason, at, page, to: options.endedPage(page) }
    // What nobody can say is dead is ended for good.
    await endHere(ended, told.ended ? undefined : 'user_logout')
  }

  async function send(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const request = new Request(input, init)
    // Not with `URL`: on phones it may know no `origin`.
    if (!options.origins.includes(/^\w+:\/\/[^/?#]+/.exec(request.url)?.[0] ?? '')) {
      throw new RescindClientError('CONFIGURATION', 'Not one of `origins`.')
    }
    const first = await core.current()
    const signal = core.signal()
    const once = async (live: Live) => {
      const either = platform.either(signal, request.signal)
      try {
        return await platform.send(new Request(request.clone(), either), live.tokens)
      } catch (error) {
        throw signal.aborted ? sessionEnded(core.over()) : error
      } finally {
        either.release()
      }
    }
    const response = await once(first)
    if (!(await isDead(response))) return response
    const second = await core.renew(first)
    const again = await once(second)
    // An API that refuses what the authority has just issued is wrong about something; only the authority’s word ends it.
    const told = (await isDead(again)) && (await why(second.tokens.ticket))
    if (!told || !told.ended) return again
    await endedElsewhere(second, told)
    throw sessionEnded(core.over())
  }

  let following = false
  let followed: AbortController | undefined
  /** One tab for all: browsers have few connections to one origin. */
  function follow(on: boolean) {
    following = on
    if (!on) {
      followed?.abort()
      followed = undefined
    }
    if (!on || followed || core.state().status !== 'signed-in') return
    const control = new AbortController()
    followed = control
    const open = (headers: Record<string, string>, signal: AbortSignal) =>
      send(`${authority}/v1/events`, { headers, signal })
    core.signal().addEventListener('abort', () => control.abort())
    platform
      .lock('events', () => followEvents(open, hear, control.signal), control.signal)
      .catch(() => {})
      .finally(() => {
        if (followed === control) followed = undefined
      })
  }

  async function hear(event: SessionEvent) {
    if (!event.current) return emit('other-session-ended', event)
    const held = core.held()
    if (!held?.tokens || core.over()) return
    if (event.sid !== undefined && event.sid !== held.tokens.claims.sid) return
    if (event.page) await endedElsewhere(held as Live, event)
    else await core.renew(held as Live)
  }

  async function wake() {
    await core.look().catch(() => {})
    await outbox.deliver({ woken: true }).catch(() => {})
  }

  return {
    fetch: send,
    logout({ reason = 'user_logout', redirectTo = options.loginPage } = {}) {
      return endHere({ reason, at: new Date().toISOString(), to: redirectTo }, reason)
    },
    state: core.state,
    async ready() {
      await core.look()
      return core.state()
    },
    on(event, listener) {
      const some = listeners.get(event) ?? new Set()
      listeners.set(event, some.add(listener))
      return () => some.delete(listener)
    },
    track(connection) {
      core.signal().addEventListener('abort', () => connection.close(), { once: true })
      if (core.signal().aborted) connection.close()
      return connection
    },
    sessions: createSessions(authority, send),
    close() {
      follow(false)
      outbox.stop()
    },
    epoch: async () => (await platform.store.read()).epoch,
    async opened(tokens, epoch) {
      const held = await platform.store.open(tokens, epoch)
      if (held) core.adopt(held)
      platform.tellTabs()
      outbox.deliver({ woken: true }).catch(() => {})
      if (!held && (await core.look()).tokens?.claims.sub !== tokens.claims.sub)
        throw sessionEnded(core.over())
    },
    wake,
    async check() {
      const { tokens } = await core.look()
      const told = tokens && (await why(tokens.ticket))
      const held = core.held()
      if (told?.ended && held?.tokens) await endedElsewhere(held as Live, told)
    },
    follow,
  }
}

/** What our guards and our authority say of a dead token; a proxy’s bare 401 is somebody else’s word. */
async function isDead(response: Response): Promise<boolean> {
  if (response.status !== 401) return false
  if (/error="invalid_token"/.test(response.headers.get('www-authenticate') ?? '')) return true
  const body = (await response
    .clone()
    .json()
    .catch(() => undefined)) as { code?: unknown } | undefined
  return body?.code === 'AUTHENTICATION_FAILED'
}
