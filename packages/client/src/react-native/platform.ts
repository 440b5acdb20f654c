/* What a mobile app gives its client. Each is as small as it can be, so that any library serves. */

/** A keychain: Keychain on iOS, Keystore on Android. A value has at most 2048 bytes there. */
export type SecureStore = {
  get(key: string): Promise<string | null>
  set(key: string, value: string): Promise<void>
  remove(key: string): Promise<void>
}

/** What is not secret and goes with an uninstall; `AsyncStorage` is one as it is. */
export type PlainStorage = {
  getItem(key: string): Promise<string | null>
  setItem(key: string, value: string): Promise<void>
  removeItem(key: string): Promise<void>
  getAllKeys(): Promise<readonly string[]>
}

/** What a sign-in or a refresh brought. */
export type Granted = {
  accessToken: string
  /** In ms, by this device’s clock. */
  expiresAt: number
  refreshToken?: string
  idToken?: string
  /** The `logout_ticket` of the token answer; only a sign-in brings one. */
  ticket?: string
}

export type SignInOptions = {
  /** Signs in anew, if that was longer ago, in s: for what needs a recent sign-in. */
  maxAge?: number
}

export type SignInRequest = SignInOptions & {
  /** What the authority calls this device, the `device_id` of the token request. */
  device: string
}

/** How tokens are got. */
export type Auth = {
  /** Signs somebody in, in the system’s browser. @throws RescindClientError SIGN_IN_FAILED */
  signIn(request: SignInRequest): Promise<Granted>
  /** @throws RescindClientError REFUSED, when the authority says that there are none; anything else: try again */
  refresh(refreshToken: string): Promise<Granted>
}

/** Calls when something has changed. @returns stops it */
export type Subscribe<T> = (listener: (value: T) => void) => () => void
