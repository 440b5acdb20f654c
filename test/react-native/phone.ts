import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  appAuth as AppAuth,
  expoAuthSession as ExpoAuthSession,
  MobileClient,
  MobileOptions,
} from '@rescind/client/react-native'
import { createBrowser, signInThrough } from '../../tools/browser.ts'
import { API, CALLBACK, PERSON } from '../setup.ts'
import { mobile } from './engine.ts'

const { appAuth, appState, createClient, expoAuthSession, expoSecureStore, netInfo } = mobile

/* A phone: what is on its flash outlives an app that is killed, and each native module refuses what the real one refuses. */

/** What is on the phone. A kill leaves it as it is. */
export type Flash = { keychain: Map<string, string>; files: Map<string, string> }

export const newFlash = (): Flash => ({ keychain: new Map(), files: new Map() })

export type App = {
  client: MobileClient
  /** Where its API is. */
  api: string
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
  /** Whether the phone’s storages refuse something now. */
  refuse?: (what: 'get' | 'set' | 'remove', key: string) => boolean
  person?: Person
  /** How long the keychain takes to read, in ms. */
  slow?: number
  /** The process is killed by the write that comes after so many. */
  killAfterWrites?: number
  options?: Partial<MobileOptions>
}

export type Person = typeof PERSON

class Killed extends Error {}

export function launch(wanted: Launch): App {
  const { issuer, api, flash, auth = 'app-auth', killAfterWrites, options } = wanted
  const { refuse = () => false, person = PERSON, slow = 0 } = wanted
  let writes = 0
  let dead = false
  const alive = () => {
    if (dead) throw new Killed('killed')
  }
  const touch = (what: 'get' | 'set' | 'remove', key: string) => {
    alive()
    if (what !== 'get' && writes++ === killAfterWrites) dead = true
    alive()
    if (refuse(what, key)) throw new Error('errSecInteractionNotAllowed')
  }
  const state = { active: (_: string) => {}, online: (_: { isConnected: boolean }) => {} }
  const screens: App['screens'] = []
  const settings = {
    ...{
      authority: issuer,
      clientId: 'app',
      redirectUri: CALLBACK,
      scopes: ['profile', 'email', 'notes:read'],
      resource: API,
    },
  }
  const client = createClient({
    ...{ authority: issuer, clientId: 'app', origins: [api] },
    auth:
      auth === 'expo'
        ? expoAuthSession(authSession(alive, person), settings)
        : appAuth(appAuthModule(alive, person), settings),
    secureStore: expoSecureStore(keychain(flash.keychain, touch, slow)),
    storage: asyncStorage(flash.files, touch),
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
    api,
    screens,
    foreground: () => state.active('active'),
    network: (isConnected) => state.online({ isConnected }),
    kill() {
      dead = true
      client.close()
    },
  }
}

type Touch = (what: 'get' | 'set' | 'remove', key: string) => void

/** `expo-secure-store`, with what its native side refuses. */
export function keychain(entries: Map<string, string>, touch: Touch, slow = 0) {
  const check = (key: string) => {
    if (!/^[\w.-]+$/.test(key)) throw new Error(`Invalid key provided to SecureStore: ${key}`)
  }
  return {
    async getItemAsync(key: string) {
      check(key)
      if (slow > 0) await sleep(slow)
      touch('get', key)
      return entries.get(key) ?? null
    },
    async setItemAsync(key: string, value: string) {
      check(key)
      if (Buffer.byteLength(value) > 2048)
        throw new Error('Value being stored in SecureStore is larger than 2048 bytes')
      touch('set', key)
      entries.set(key, value)
    },
    async deleteItemAsync(key: string) {
      check(key)
      touch('remove', key)
      entries.delete(key)
    },
  }
}

export function asyncStorage(entries: Map<string, string>, touch: Touch) {
  return {
    async getItem(key: string) {
      touch('get', key)
      return entries.get(key) ?? null
    },
    async setItem(key: string, value: string) {
      touch('set', key)
      entries.set(key, value)
    },
    async removeItem(key: string) {
      touch('remove', key)
      entries.delete(key)
    },
    async getAllKeys() {
      touch('get', '*')
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
async function authorize(
  endpoint: string,
  parameters: Record<string, string>,
  challenge: string,
  person: Person,
) {
  const url = new URL(endpoint)
  url.search = new URLSearchParams({
    ...{ response_type: 'code', client_id: 'app', redirect_uri: CALLBACK, state: 'state' },
    ...{ code_challenge: challenge, code_challenge_method: 'S256', ...parameters },
  }).toString()
  return signInThrough(createBrowser(), url.href, person, /^https:\/\/app\.example\//)
}

const newVerifier = () => randomBytes(32).toString('base64url')
const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')

/** `react-native-app-auth`. */
function appAuthModule(alive: () => void, person: Person): Parameters<typeof AppAuth>[0] {
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
        person,
      )
      const fields = {
        code: `${back.searchParams.get('code')}`,
        code_verifier: verifier,
        redirect_uri: redirectUrl,
        // As on Android; on iOS nothing but the usual is sent with the code.
        ...additionalParameters,
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
function authSession(alive: () => void, person: Person): Parameters<typeof ExpoAuthSession>[0] {
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
        const back = await authorize(
          authorizationEndpoint,
          parameters,
          challengeOf(this.codeVerifier),
          person,
        )
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
