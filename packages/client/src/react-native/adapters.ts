import { RescindClientError } from '../errors.ts'
import { originOf } from './origin.ts'
import type { Auth, Granted, SecureStore, SignInRequest, Subscribe } from './platform.ts'

/* Known libraries, as this client wants them. Each takes the library’s module, so that only what an app uses is in it. */

/**
 * `expo-secure-store`.
 * @param options those of its calls, such as `{ keychainAccessible: SecureStore.AFTER_FIRST_UNLOCK_THIS_DEVICE_ONLY }`
 */
export function expoSecureStore<O>(
  module: {
    getItemAsync(key: string, options?: O): Promise<string | null>
    setItemAsync(key: string, value: string, options?: O): Promise<void>
    deleteItemAsync(key: string, options?: O): Promise<void>
  },
  options?: O,
): SecureStore {
  return {
    get: (key) => module.getItemAsync(key, options),
    set: (key, value) => module.setItemAsync(key, value, options),
    remove: (key) => module.deleteItemAsync(key, options),
  }
}

/** `@react-native-community/netinfo`. */
export function netInfo(module: {
  addEventListener(
    listener: (state: { isConnected: boolean | null; isInternetReachable?: boolean | null }) => void,
  ): () => void
}): Subscribe<boolean> {
  return (listener) =>
    module.addEventListener(({ isConnected, isInternetReachable }) =>
      listener(isConnected === true && isInternetReachable !== false),
    )
}

/** `AppState` of `react-native`. */
export function appState(module: {
  addEventListener(type: 'change', listener: (state: string) => void): { remove(): void }
}): Subscribe<void> {
  return (listener) => {
    const subscription = module.addEventListener('change', (state) => {
      if (state === 'active') listener()
    })
    return () => subscription.remove()
  }
}

/** What a sign-in needs to know. */
export type SignInSettings = {
  /** The authority’s URL. */
  authority: string
  clientId: string
  /** An address that opens the app, such as `com.example.app:/callback`; registered with the authority. */
  redirectUri: string
  /** Besides `openid`, which is always asked for. */
  scopes?: string[]
  /** The API that the tokens are for (RFC 8707). */
  resource?: string
}

type AppAuthConfig = {
  issuer: string
  clientId: string
  redirectUrl: string
  scopes: string[]
  serviceConfiguration: { authorizationEndpoint: string; tokenEndpoint: string }
  additionalParameters?: Record<string, string>
}

/** As much of an answer of `react-native-app-auth` as is read. */
type AppAuthResult = {
  accessToken: string
  /** ISO 8601. */
  accessTokenExpirationDate: string
  idToken: string
  refreshToken: string | null
  tokenAdditionalParameters?: Record<string, unknown>
}

/** `react-native-app-auth`: code and PKCE in the system’s browser, by AppAuth. */
export function appAuth(
  module: {
    authorize(config: AppAuthConfig): Promise<AppAuthResult>
    refresh(config: AppAuthConfig, tokens: { refreshToken: string }): Promise<AppAuthResult>
  },
  settings: SignInSettings,
): Auth {
  const { clientId, redirectUri, scopes = [], resource } = settings
  const authority = originOf(settings.authority, 'authority')
  const base = {
    ...{ issuer: authority, clientId, redirectUrl: redirectUri, scopes: ['openid', ...scopes] },
    serviceConfiguration: endpoints(authority),
  }
  const read = (result: AppAuthResult): Granted => ({
    accessToken: result.accessToken,
    expiresAt: Date.parse(result.accessTokenExpirationDate) || 0,
    // What is not there is empty, on iOS.
    refreshToken: result.refreshToken || undefined,
    idToken: result.idToken,
    ticket: textOf(result.tokenAdditionalParameters?.logout_ticket),
  })
  return {
    async signIn(request) {
      // On iOS it sends these to sign in only, and on Android with the code, too: there the device has its name.
      const additionalParameters = { ...asked(resource, request), device_id: request.device }
      return read(await module.authorize({ ...base, additionalParameters }).catch(signInFailed))
    },
    async refresh(refreshToken) {
      const config = { ...base, additionalParameters: asked(resource) }
      return read(await module.refresh(config, { refreshToken }).catch(refreshFailed))
    },
  }
}

type Discovery = { authorizationEndpoint: string; tokenEndpoint: string }
type AuthRequestSettings = {
  clientId: string
  redirectUri: string
  scopes: string[]
  extraParams: Record<string, string>
}

/** As much of a `TokenResponse` of `expo-auth-session` as is read. */
type TokenResponse = {
  accessToken: string
  /** In s, and when it was issued, in s. */
  expiresIn?: number
  issuedAt: number
  refreshToken?: string
  idToken?: string
  rawResponse?: unknown
}

/** `expo-auth-session`: code and PKCE in the system’s browser. */
export function expoAuthSession(
  module: {
    AuthRequest: new (
      settings: AuthRequestSettings,
    ) => {
      codeVerifier?: string
      promptAsync(discovery: Discovery): Promise<{ type: string; params?: Record<string, string> }>
    }
    exchangeCodeAsync(
      settings: Omit<AuthRequestSettings, 'scopes'> & { code: string },
      discovery: Discovery,
    ): Promise<TokenResponse>
    refreshAsync(
      settings: { clientId: string; refreshToken: string; extraParams: Record<string, string> },
      discovery: Discovery,
    ): Promise<TokenResponse>
  },
  settings: SignInSettings,
): Auth {
  const { clientId, redirectUri, scopes = [], resource } = settings
  const authority = originOf(settings.authority, 'authority')
  const discovery = endpoints(authority)
  const read = (answer: TokenResponse): Granted => ({
    accessToken: answer.accessToken,
    expiresAt: (answer.issuedAt + (answer.expiresIn ?? 0)) * 1000,
    refreshToken: answer.refreshToken,
    idToken: answer.idToken,
    ticket: textOf((answer.rawResponse as Record<string, unknown> | undefined)?.logout_ticket),
  })
  return {
    async signIn(wanted) {
      const request = new module.AuthRequest({
        ...{ clientId, redirectUri, scopes: ['openid', ...scopes], extraParams: asked(resource, wanted) },
      })
      const { type, params = {} } = await request.promptAsync(discovery).catch(signInFailed)
      const { code, iss, error } = params
      if (type !== 'success' || !code) return signInFailed({ code: error ?? type })
      // RFC 9207: an answer of another authority is none.
      if (iss !== authority) return signInFailed({ code: 'iss' })
      const proven = { code_verifier: request.codeVerifier ?? '', device_id: wanted.device }
      const exchange = { clientId, redirectUri, code, extraParams: { ...asked(resource), ...proven } }
      return read(await module.exchangeCodeAsync(exchange, discovery).catch(signInFailed))
    },
    async refresh(refreshToken) {
      const wanted = { clientId, refreshToken, extraParams: asked(resource) }
      return read(await module.refreshAsync(wanted, discovery).catch(refreshFailed))
    },
  }
}

/** What a request says besides the usual: which API it is for (RFC 8707), and how recent a sign-in has to be. */
function asked(
  resource: string | undefined,
  { maxAge }: Partial<SignInRequest> = {},
): Record<string, string> {
  return {
    ...(resource === undefined ? {} : { resource }),
    ...(maxAge === undefined ? {} : { max_age: `${maxAge}` }),
  }
}

/** Where a Rescind authority has them. */
function endpoints(authority: string): Discovery {
  return {
    authorizationEndpoint: `${authority}/oauth/authorize`,
    tokenEndpoint: `${authority}/oauth/token`,
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Both libraries put the code of RFC 6749 there, where the authority gave one. */
type Failed = { code?: unknown }

function signInFailed(error: Failed): never {
  const why = typeof error.code === 'string' ? error.code : 'unknown'
  const message = `The sign-in failed: ${why}. Call \`signIn()\` again.`
  throw new RescindClientError('SIGN_IN_FAILED', message, why, error)
}

/** Only `invalid_grant` (RFC 6749 §5.2) says that the session is over. */
function refreshFailed(error: Failed): never {
  if (error.code !== 'invalid_grant') throw error
  throw new RescindClientError('REFUSED', 'The authority refuses the refresh token.', 'invalid_grant', error)
}
