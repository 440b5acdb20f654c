import { type Client, createClientCore } from './client.ts'
import { RescindClientError } from './errors.ts'
import type { Ended, Platform } from './platform.ts'
import type { SessionState } from './session.ts'
import { type Clear, clearCaches, clearSteps } from './web/clear.ts'
import { createGrants, type SignInOptions } from './web/grants.ts'
import { followPage } from './web/page.ts'
import { createStore, databaseName } from './web/store.ts'

export type { Client, LogoutOptions } from './client.ts'
export type { ClientEvents } from './emitter.ts'
export { type ClientErrorCode, RescindClientError } from './errors.ts'
export type { Failure, LogoutResult } from './logout.ts'
export type { Delivery } from './outbox.ts'
export type { Ended } from './platform.ts'
export type { SessionState } from './session.ts'
export type { ListedSession, Receipt, Sessions } from './sessions.ts'
export type { Clear } from './web/clear.ts'
export type { SignInOptions } from './web/grants.ts'

export type ClientOptions = {
  /** The authority’s URL, its `issuer`: https, or http on this machine. */
  authority: string
  clientId: string
  /** Where the authority sends the person back to; call `handleCallback()` there. */
  redirectUri: string
  /** Besides `openid`, which is always asked for. */
  scope?: string
  /** The API that the tokens are for (RFC 8707). */
  resource?: string
  /** The origins of APIs that `fetch()` may send the token to. Default: that of `resource`. */
  origins?: string[]
  /** Where people go who are not signed in. Default: `/login`. */
  loginPage?: string
  /** Whether the page goes to the authority’s page that says why, when the session was ended elsewhere. Default: true. */
  redirect?: boolean
  clear?: Clear
  /** Names of storage keys, databases, caches and cookies that a logout leaves. */
  keep?: string[]
}

export type WebClient = Client & {
  /** Leaves the page for the authority. */
  signIn(options?: SignInOptions): Promise<void>
  /**
   * Takes the answer of the authority out of the address, and opens the session.
   * @returns where the person wanted to be
   * @throws RescindClientError SIGN_IN_FAILED; SESSION_ENDED, when somebody logged out meanwhile
   */
  handleCallback(url?: string): Promise<{ returnTo?: string }>
  /**
   * Clears what is the app’s own at the end of a session. `everywhere` is false where another tab clears what all share.
   * @returns takes the hook off
   */
  onClear(hook: (ended: Ended, everywhere: boolean) => unknown): () => void
}

/** What was on its way when a session ended has come by then, in ms. */
const JUST_NOW = 60_000

/**
 * The session of this browser with an authority.
 * @throws RescindClientError CONFIGURATION
 */
export function createClient(options: ClientOptions): WebClient {
  const { clientId, redirectUri, resource, keep, clear, loginPage = '/login', redirect = true } = options
  const authority = origin(options.authority, 'authority')
  const origins = [authority, ...(options.origins ?? (resource === undefined ? [] : [resource]))]
  const scope = `openid ${options.scope ?? ''}`.trim()
  const grants = createGrants({ authority, clientId, redirectUri, scope, resource })
  const hooks = new Set<(ended: Ended, everywhere: boolean) => unknown>()
  const name = databaseName(clientId)
  let leaving = false
  const tabs = new BroadcastChannel(name)
  const platform: Platform = {
    store: createStore(clientId),
    lock: (what, work, signal) =>
      navigator.locks.request(`${name}:${what}`, { signal }, work) as ReturnType<typeof work>,
    refresh: grants.refresh,
    send: grants.send,
    clearing: (everywhere, ended) => clearSteps({ clear, keep, hooks }, everywhere, ended),
    sweep: () => clear?.cacheStorage !== false && clearCaches(keep),
    either: (...both) => ({ signal: AbortSignal.any(both), release() {} }),
    tellTabs: () => tabs.postMessage('look'),
    queued: () => askToBeWoken(name),
    go(to) {
      const url = new URL(to, location.href)
      leaving = /^https?:$/.test(url.protocol)
      if (leaving) location.replace(url)
    },
  }
  const core = createClientCore(platform, {
    ...{ authority, clientId, loginPage },
    endedPage: (page) => redirect && (page ?? loginPage),
    origins: origins.map((one) => origin(one, 'origins')),
  })
  tabs.onmessage = () => core.wake()
  const stop = followPage({
    async wake() {
      core.follow(true)
      await core.wake()
      return !leaving
    },
    sleep: () => core.follow(false),
  })
  core.follow(true)
  core.wake().then(() => justEnded(core.state()) && platform.sweep?.())

  return {
    ...core,
    async signIn(wanted = {}) {
      location.assign(await grants.begin(wanted))
    },
    async handleCallback(url = location.href) {
      const answer = new URL(url)
      // The code is in nobody's history, and in no `Referer`.
      history.replaceState(history.state, '', answer.pathname)
      const epoch = await core.epoch()
      const { tokens, returnTo } = await grants.finish(answer)
      await core.opened(tokens, epoch)
      return { returnTo }
    },
    onClear(hook) {
      hooks.add(hook)
      return () => hooks.delete(hook)
    },
    close() {
      core.close()
      stop()
      tabs.close()
    },
  }
}

function justEnded(state: SessionState): boolean {
  return state.status === 'ended' && Date.now() - Date.parse(state.at) < JUST_NOW
}

function origin(url: string, option: string): string {
  // Keys and locks are there for pages from https, and from this machine.
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const local = parsed && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(parsed.hostname)
  if (isSecureContext && (parsed?.protocol === 'https:' || (local && parsed.protocol === 'http:')))
    return parsed.origin
  throw new RescindClientError('CONFIGURATION', `\`${option}\` and the page have to be from https.`)
}

type Waking = ServiceWorkerRegistration & { sync?: { register(tag: string): Promise<void> } }

/** Background Sync, where there is one: the service worker delivers when the network is back (see `worker.ts`). */
async function askToBeWoken(tag: string) {
  const worker = (await navigator.serviceWorker?.getRegistration()) as Waking | undefined
  await worker?.sync?.register(tag)
}
