import { type Client, createClientCore } from './client.ts'
import { RescindClientError } from './errors.ts'
import type { Ended, Platform, Tokens } from './platform.ts'
import { postForm } from './post-form.ts'
import { claimsOf } from './react-native/claims.ts'
import { clearSteps, createFinish } from './react-native/clear.ts'
import { createLocks, either } from './react-native/engine.ts'
import { originOf } from './react-native/origin.ts'
import type {
  Auth,
  Granted,
  PlainStorage,
  SecureStore,
  SignInOptions,
  Subscribe,
} from './react-native/platform.ts'
import { createRefreshing } from './react-native/refreshing.ts'
import { createStore } from './react-native/store.ts'
import { within } from './within.ts'

export type { Client, LogoutOptions } from './client.ts'
export type { ClientEvents } from './emitter.ts'
export { type ClientErrorCode, RescindClientError } from './errors.ts'
export type { Failure, LogoutResult } from './logout.ts'
export type { Delivery } from './outbox.ts'
export type { SignInSettings } from './react-native/adapters.ts'
export { appAuth, appState, expoAuthSession, expoSecureStore, netInfo } from './react-native/adapters.ts'
export type {
  Auth,
  Granted,
  PlainStorage,
  SecureStore,
  SignInOptions,
  SignInRequest,
  Subscribe,
} from './react-native/platform.ts'
export type { SessionState } from './session.ts'
export type { ListedSession, Receipt, Sessions } from './sessions.ts'

export type MobileOptions = {
  /** The authority’s URL, its `issuer`: https, or http on this machine. */
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
  /**
   * Signs somebody in. Of somebody else who was, everything goes first.
   * @throws RescindClientError SIGN_IN_FAILED; SESSION_ENDED, when they logged out meanwhile; UNAVAILABLE, when the phone
   * can’t keep it
   */
  signIn(options?: SignInOptions): Promise<void>
  /**
   * Clears what is the app’s own at the end of a session: its state, its caches. What is to be cleared after an app was killed
   * has to be there when the client is made.
   * @returns takes the hook off
   */
  onClear(hook: (ended: Ended) => unknown): () => void
}

/** For the word of the authority, in ms. */
const PATIENCE = 2_000
/**
 * The session of this phone with an authority. One for an app: make it once, in a module.
 * @throws RescindClientError CONFIGURATION
 */
export function createClient(options: MobileOptions): MobileClient {
  const { clientId, auth, secureStore, storage, navigate, keep = [], secureKeys = [] } = options
  const { loginScreen = 'Login', endedScreen = 'SignedOut' } = options
  const authority = originOf(options.authority, 'authority')
  const hooks = new Set<(ended: Ended) => unknown>()
  const store = createStore(secureStore, storage)
  const stepsOf = (ended: Ended) => clearSteps({ secureStore, storage, secureKeys, keep, hooks }, ended)
  const platform: Platform = {
    store,
    lock: createLocks(),
    refresh: createRefreshing(auth),
    send: sendBearer,
    clearing: (_everywhere, ended) => stepsOf(ended),
    // By then it has been cleared. Where this is not noted, it is cleared once more at the next launch.
    sweep: () => void store.cleared().catch(() => {}),
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
    origins: [authority, ...options.origins.map((one) => originOf(one, 'origins'))],
  })

  const finish = createFinish(store, stepsOf)
  const back = () => finish().then(core.check).then(core.wake, core.wake)
  const stops = [options.network?.((online) => online && core.wake()), options.foreground?.(back)]
  back()

  return {
    ...core,
    async ready() {
      await finish()
      return core.ready()
    },
    async signIn(wanted = {}) {
      await finish()
      let epoch = await core.epoch()
      const tokens = tokensOf(await auth.signIn({ ...wanted, device: await store.device() }))
      const now = await core.ready()
      if (now.status === 'signed-in' && now.sub !== tokens.claims.sub) {
        await core.logout({ reason: 'account_switch', redirectTo: false })
        epoch++
      }
      try {
        await core.opened(tokens, epoch)
      } catch (error) {
        if ((error as RescindClientError).code === 'UNAVAILABLE') await giveUp(authority, clientId, tokens)
        throw error
      }
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

/** Not bound to a key: engines of phones have no Web Crypto. */
function sendBearer(request: Request, { accessToken }: Tokens): Promise<Response> {
  const headers = new Headers(request.headers)
  headers.set('authorization', `Bearer ${accessToken}`)
  return fetch(new Request(request, { headers }))
}

/** @throws RescindClientError SIGN_IN_FAILED */
function tokensOf({ idToken, ticket, ...granted }: Granted): Tokens {
  const claims = claimsOf(idToken)
  if (claims && ticket && granted.accessToken) return { ...granted, ticket, claims }
  const message =
    'The answer has no ID token or no logout ticket. Ask for the scope `openid`, of a Rescind authority.'
  throw new RescindClientError('SIGN_IN_FAILED', message)
}

/** Ends a session that this phone can’t keep. */
async function giveUp(authority: string, clientId: string, { ticket }: Tokens) {
  const fields = { client_id: clientId, token: ticket, reason: 'user_logout' }
  const end = (signal: AbortSignal) => postForm(`${authority}/oauth/revoke`, fields, signal)
  await within(PATIENCE, end).catch(() => {})
}
