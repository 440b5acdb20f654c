import { createHash, randomBytes } from 'node:crypto'
import {
  appAuth,
  appState,
  createClient,
  expoAuthSession,
  expoSecureStore,
  type MobileClient,
  netInfo,
} from '@rescind/client/react-native'
import { createBrowser, signInThrough } from '../../tools/browser.ts'
import { API, CALLBACK, PERSON } from '../setup.ts'

/* A phone: what is on its flash outlives an app that is killed, and each native module refuses what the real one refuses. */

/** What is on the phone. A kill leaves it as it is. */
export type Flash = { keychain: Map<string, string>; files: Map<string, string> }

export const newFlash = (): Flash => ({ keychain: new Map(), files: new Map() })

export type App = {
  client: MobileClient
  /** Where the app went, with what it was told. */
  screens: [screen: string, params: unknown][]
  /** The app comes to the foreground. */
  foreground(): void
  /** The network comes and goes. */
  network(isConnected: boolean): void
  /** Nothing of this process happens any more. */
  kill(): void
}

export type Launch = {
  issuer: string
  api: string
  flash: Flash
  auth?: 'app-auth' | 'expo'
  /** The process is killed by the write that comes after so many. */
  killAfterWrites?: number
  options?: Partial<Parameters<typeof createClient>[0]>
}

class Killed extends Error {}

export function launch({ issuer, api, flash, auth = 'app-auth', killAfterWrites, options }: Launch): App {
  let writes = 0
  let dead = false
  const alive = () => {
    if (dead) throw new Killed('killed')
  }
  const write = () => {
    alive()
    if (writes++ === killAfterWrites) dead = true
    alive()
  }
  const state = { active: (_: string) => {}, online: (_: { isConnected: boolean }) => {} }
  const screens: App['screens'] = []
  const settings = {
    ...{ authority: issuer, clientId: 'app', redirectUri: CALLBACK, scopes: ['notes:read'], resource: API },
  }
  const client = createClient({
    ...{ authority: issuer, clientId: 'app', origins: [api] },
    auth:
      auth === 'expo'
        ? expoAuthSession(authSession(alive), settings)
        : appAuth(appAuthModule(alive), settings),
    secureStore: expoSecureStore(keychain(flash.keychain, alive, write)),
    storage: asyncStorage(flash.files, alive, write),
    network: netInfo({
      addEventListener(listener) {
        state.online = listener
        return () => {}
      },
    }),
    foreground: appState({
      addEventListener(_type, listener) {
        state.active = listener
        return { remove() {} }
      },
    }),
    navigate: (screen, params) => screens.push([screen, params]),
    ...options,
  })
  return {
    client,
    screens,
    foreground: () => state.active('active'),
    network: (isConnected) => state.online({ isConnected }),
    kill() {
      dead = true
      client.close()
    },
  }
}

/** `expo-secure-store`, with what its native side refuses. */
function keychain(entries: Map<string, string>, alive: () => void, write: () => void) {
  const check = (key: string) => {
    if (!/^[\w.-]+$/.test(key)) throw new Error(`Invalid key provided to SecureStore: ${key}`)
  }
  return {
    async getItemAsync(key: string) {
      alive()
      check(key)
      return entries.get(key) ?? null
    },
    async setItemAsync(key: string, value: string) {
      check(key)
      if (Buffer.byteLength(value) > 2048)
        throw new Error('Value being stored in SecureStore is larger than 2048 bytes')
      write()
      entries.set(key, value)
    },
    async deleteItemAsync(key: string) {
      check(key)
      write()
      entries.delete(key)
    },
  }
}

function asyncStorage(entries: Map<string, string>, alive: () => void, write: () => void) {
  return {
    async getItem(key: string) {
      alive()
      return entries.get(key) ?? null
    },
    async setItem(key: string, value: string) {
      write()
      entries.set(key, value)
    },
    async removeItem(key: string) {
      write()
      entries.delete(key)
    },
    async getAllKeys() {
      alive()
      return [...entries.keys()]
    },
  }
}

type TokenAnswer = Record<'access_token' | 'refresh_token' | 'id_token' | 'logout_ticket', string> & {
  expires_in: number
}

async function token(
  issuer: string,
  alive: () => void,
  fields: Record<string, string>,
): Promise<TokenAnswer> {
  alive()
  const response = await fetch(`${issuer}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: 'app', ...fields }),
  })
  alive()
  const answer = (await response.json()) as TokenAnswer & { error?: string }
  if (!response.ok) throw Object.assign(new Error(`${answer.error}`), { code: answer.error })
  return answer
}

/** Goes through the system's browser, as a person does. */
async function authorize(endpoint: string, parameters: Record<string, string>, challenge: string) {
  const url = new URL(endpoint)
  url.search = new URLSearchParams({
    ...{ response_type: 'code', client_id: 'app', redirect_uri: CALLBACK, state: 'state' },
    ...{ code_challenge: challenge, code_challenge_method: 'S256', ...parameters },
  }).toString()
  return signInThrough(createBrowser(), url.href, PERSON, /^https:\/\/app\.example\//)
}

const newVerifier = () => randomBytes(32).toString('base64url')
const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')

/** `react-native-app-auth`. */
function appAuthModule(alive: () => void): Parameters<typeof appAuth>[0] {
  const read = (answer: TokenAnswer) => ({
    accessToken: answer.access_token,
    accessTokenExpirationDate: new Date(Date.now() + answer.expires_in * 1000).toISOString(),
    idToken: answer.id_token,
    refreshToken: answer.refresh_token,
  })
  return {
    async authorize({ serviceConfiguration, scopes, additionalParameters = {}, issuer, redirectUrl }) {
      const verifier = newVerifier()
      const parameters = { scope: scopes.join(' '), ...additionalParameters }
      const back = await authorize(
        serviceConfiguration.authorizationEndpoint,
        parameters,
        challengeOf(verifier),
      )
      const fields = {
        code: `${back.searchParams.get('code')}`,
        code_verifier: verifier,
        redirect_uri: redirectUrl,
      }
      const answer = await token(issuer, alive, { grant_type: 'authorization_code', ...fields })
      return { ...read(answer), tokenAdditionalParameters: { logout_ticket: answer.logout_ticket } }
    },
    async refresh({ issuer }, { refreshToken }) {
      return read(await token(issuer, alive, { grant_type: 'refresh_token', refresh_token: refreshToken }))
    },
  }
}

/** `expo-auth-session`. */
function authSession(alive: () => void): Parameters<typeof expoAuthSession>[0] {
  const read = (answer: TokenAnswer) => ({
    accessToken: answer.access_token,
    expiresIn: answer.expires_in,
    issuedAt: Math.floor(Date.now() / 1000),
    refreshToken: answer.refresh_token,
    idToken: answer.id_token,
    rawResponse: answer,
  })
  const issuerOf = ({ tokenEndpoint }: { tokenEndpoint: string }) => new URL(tokenEndpoint).origin
  return {
    AuthRequest: class {
      codeVerifier = newVerifier()
      settings: { scopes: string[]; extraParams: Record<string, string> }
      constructor(settings: { scopes: string[]; extraParams: Record<string, string> }) {
        this.settings = settings
      }
      async promptAsync({ authorizationEndpoint }: { authorizationEndpoint: string }) {
        const { scopes, extraParams } = this.settings
        const parameters = { scope: scopes.join(' '), ...extraParams }
        const back = await authorize(authorizationEndpoint, parameters, challengeOf(this.codeVerifier))
        return { type: 'success', params: Object.fromEntries(back.searchParams) }
      }
    },
    async exchangeCodeAsync({ code, redirectUri, extraParams }, discovery) {
      const fields = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, ...extraParams }
      return read(await token(issuerOf(discovery), alive, fields))
    },
    async refreshAsync({ refreshToken, extraParams }, discovery) {
      const fields = { grant_type: 'refresh_token', refresh_token: refreshToken, ...extraParams }
      return read(await token(issuerOf(discovery), alive, fields))
    },
  }
}
