import { type Client, createClientCore } from './client.ts'
import { RescindClientError } from './errors.ts'
import type { ClearStep, Ended, Platform, Tokens } from './platform.ts'
import { claimsOf } from './react-native/claims.ts'
import { INSTALLED } from './react-native/ledger.ts'
import type { Auth, Granted, PlainStorage, SecureStore, Subscribe } from './react-native/platform.ts'
import { createStore } from './react-native/store.ts'

export type { Client, LogoutOptions } from './client.ts'
export type { ClientEvents } from './emitter.ts'
export { type ClientErrorCode, RescindClientError } from './errors.ts'
export type { Failure, LogoutResult } from './logout.ts'
export type { Delivery } from './outbox.ts'
export type { SignInSettings } from './react-native/adapters.ts'
export { appAuth, appState, expoAuthSession, expoSecureStore, netInfo } from './react-native/adapters.ts'
export type { Auth, Granted, PlainStorage, SecureStore, Subscribe } from './react-native/platform.ts'
export type { SessionState } from './session.ts'
export type { ListedSession, Receipt, Sessions } from './sessions.ts'

export type MobileOptions = {
  /** The authority’s URL, its `issuer`. */
  authority: string
  clientId: string
  /** The origins of APIs that `fetch()` may send the token to. */
  origins: string[]
  auth: Auth
  secureStore: SecureStore
  storage: PlainStorage
  /** Says whether the network is there. */
  network?: Subscribe<boolean>
  /** Calls when the app comes to the foreground. */
  foreground?: Subscribe<void>
  /** Goes to a screen of the app; `params` say how a session ended that was ended elsewhere. */
  navigate(screen: string, params?: { reason: string; at: string; page?: string }): void
  /** The screen for people who are not signed in. Default: `Login`. */
  loginScreen?: string
  /** The screen that tells why, when the session was ended elsewhere. Default: `SignedOut`. */
  endedScreen?: string
  /** The app’s own entries in the keychain, which a logout removes. */
  secureKeys?: string[]
  /** Keys of `storage` that a logout leaves. */
  keep?: string[]
}

export type MobileClient = Client & {
  /** Signs somebody in. @throws RescindClientError SIGN_IN_FAILED; SESSION_ENDED, when they logged out meanwhile */
  signIn(): Promise<void>
  /** Clears what is the app’s own at the end of a session: its state, its caches. @returns takes the hook off */
  onClear(hook: (ended: Ended) => unknown): () => void
}

/** The session of this phone with an authority. */
export function createClient(options: MobileOptions): MobileClient {
  const { clientId, auth, secureStore, storage, navigate, keep = [], secureKeys = [] } = options
  const { loginScreen = 'Login', endedScreen = 'SignedOut' } = options
  const authority = options.authority.replace(/\/+$/, '')
  const hooks = new Set<(ended: Ended) => unknown>()
  const lock = createLocks()
  const platform: Platform = {
    store: createStore(secureStore, storage),
    lock,
    async refresh(tokens) {
      if (!tokens.refreshToken) throw new RescindClientError('REFUSED', 'This session has no refresh token.')
      return tokensOf(await auth.refresh(tokens.refreshToken), tokens)
    },
    send(request, { accessToken }) {
      const headers = new Headers(request.headers)
      headers.set('authorization', `Bearer ${accessToken}`)
      return fetch(new Request(request, { headers }))
    },
    clearing: (_everywhere, ended) => [
      ...secureKeys.map(
        (key): ClearStep => ({ name: `secureStore ${key}`, run: () => secureStore.remove(key) }),
      ),
      { name: 'storage', run: () => clearStorage(storage, [...keep, INSTALLED]) },
      ...[...hooks].map((hook, n): ClearStep => ({ name: `onClear ${n + 1}`, run: () => hook(ended) })),
    ],
    either,
    tellTabs() {},
    go(to) {
      const state = core.state()
      if (to !== endedScreen || state.status !== 'ended') return navigate(to)
      const { reason, at, page } = state
      navigate(to, { reason, at, ...(page === undefined ? {} : { page }) })
    },
  }
  const core = createClientCore(platform, {
    ...{ authority, clientId, loginPage: loginScreen },
    endedPage: () => endedScreen,
    origins: [authority, ...options.origins],
  })
  const back = () => core.check().then(core.wake, core.wake)
  const stops = [options.network?.((online) => online && core.wake()), options.foreground?.(back)]
  back()

  return {
    ...core,
    async signIn() {
      const epoch = await core.epoch()
      const granted = await auth.signIn()
      await core.opened(tokensOf(granted, {}), epoch)
    },
    onClear(hook) {
      hooks.add(hook)
      return () => hooks.delete(hook)
    },
    close() {
      core.close()
      for (const stop of stops) stop?.()
    },
  }
}

function tokensOf({ idToken, ...granted }: Granted, before: Partial<Tokens>): Tokens {
  const claims = claimsOf(idToken) ?? before.claims
  const ticket = granted.ticket ?? before.ticket
  const refreshToken = granted.refreshToken ?? before.refreshToken
  if (claims && ticket && granted.accessToken) return { ...granted, refreshToken, ticket, claims }
  const message =
    'The answer has no ID token or no logout ticket. Ask for the scope `openid`, of a Rescind authority.'
  throw new RescindClientError('SIGN_IN_FAILED', message)
}

async function clearStorage(storage: PlainStorage, keep: string[]) {
  const keys = (await storage.getAllKeys()).filter((key) => !keep.includes(key))
  for (const key of keys) await storage.removeItem(key)
}

/** A phone has one process for an app: who comes first has it. */
function createLocks(): Platform['lock'] {
  const queues = new Map<string, Promise<unknown>>()
  return (name, work) => {
    const turn = (queues.get(name) ?? Promise.resolve()).then(work, work)
    const over = turn.catch(() => {})
    queues.set(name, over)
    over.then(() => queues.get(name) === over && queues.delete(name))
    return turn
  }
}

/** Not every engine of phones has `AbortSignal.any`. */
function either(a: AbortSignal, b: AbortSignal) {
  const control = new AbortController()
  const abort = () => control.abort()
  for (const one of [a, b]) one.addEventListener('abort', abort)
  if (a.aborted || b.aborted) abort()
  return {
    signal: control.signal,
    release() {
      for (const one of [a, b]) one.removeEventListener('abort', abort)
    },
  }
}
