import { createFetch } from './authorized-fetch.ts'
import { createElsewhere } from './elsewhere.ts'
import { type ClientEvents, createEmitter } from './emitter.ts'
import { createFollower } from './follow.ts'
import { createEnding, type LogoutResult } from './logout.ts'
import { createOutbox } from './outbox.ts'
import type { Platform, Tokens } from './platform.ts'
import { createRefresh } from './refresh.ts'
import { createSessionCore, type Live, type SessionState, sessionEnded } from './session.ts'
import { createSessions, type Sessions } from './sessions.ts'

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
  follow(on?: boolean): void
}

/** The client without what it runs on: a browser and a phone bring that. */
export function createClientCore(platform: Platform, options: CoreOptions): ClientCore {
  const { authority, clientId, origins, endedPage } = options
  const { emit, on } = createEmitter()
  const changed = () => {
    emit('change', undefined)
    follow()
  }
  const core = createSessionCore(platform.store, changed, (ended) => endTab(ended))
  const outbox = createOutbox({ ...platform, authority, clientId, tell: (told) => emit('delivery', told) })
  const { endHere, endTab } = createEnding({
    ...{ platform, core, outbox },
    tell: ({ to: _, ...ended }) => emit('session-ended', ended),
  })
  const elsewhere = createElsewhere({ authority, core, endedPage, endHere })
  const refresh = createRefresh(platform, core, elsewhere.end)
  const fetch = createFetch({ platform, core, refresh, elsewhere, origins })
  const follow = createFollower({
    ...{ platform, core, refresh, elsewhere },
    open: (signal) => fetch(`${authority}/v1/events`, { signal }),
    tell: (event) => emit('other-session-ended', event),
  })

  return {
    fetch,
    follow,
    on,
    state: core.state,
    sessions: createSessions(authority, fetch),
    logout({ reason = 'user_logout', redirectTo = options.loginPage } = {}) {
      return endHere({ reason, at: new Date().toISOString(), to: redirectTo }, reason)
    },
    async ready() {
      await core.look()
      return core.state()
    },
    track(connection) {
      core.signal().addEventListener('abort', () => connection.close(), { once: true })
      if (core.signal().aborted) connection.close()
      return connection
    },
    close() {
      follow(false)
      outbox.stop()
    },
    epoch: async () => (await platform.store.read()).epoch,
    async opened(tokens, epoch) {
      const held = await platform.store.open(tokens, epoch)
      if (held) core.begin(held)
      platform.tellTabs()
      outbox.deliver({ woken: true }).catch(() => {})
      if (!held && (await core.look()).tokens?.claims.sub !== tokens.claims.sub)
        throw sessionEnded(core.over())
    },
    async wake() {
      await core.look().catch(() => {})
      await outbox.deliver({ woken: true }).catch(() => {})
    },
    async check() {
      const held = await core.look()
      const told = held.tokens && (await elsewhere.ask(held as Live))
      if (told?.ended) await elsewhere.end(held as Live, told)
    },
  }
}
