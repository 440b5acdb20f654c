import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { appAuth, appState, expoAuthSession, netInfo } from './adapters.ts'

const SETTINGS = {
  ...{ authority: 'https://login.example.com/', clientId: 'app', redirectUri: 'com.example.app:/callback' },
  ...{ scopes: ['notes:read'], resource: 'https://api.example.com' },
}
const REQUEST = { device: 'the-device', maxAge: 300 }
const TOKEN = { accessToken: 'at', refreshToken: 'rt', idToken: 'it' }

describe('react-native-app-auth', () => {
  const asked: { scopes: string[]; additionalParameters?: Record<string, string> }[] = []
  const fails = (error: unknown) => () => Promise.reject(error)
  const result = { ...TOKEN, accessTokenExpirationDate: '2026-01-01T00:00:00Z' }
  const module = {
    async authorize(config: (typeof asked)[0]) {
      asked.push(config)
      return { ...result, tokenAdditionalParameters: { logout_ticket: 'lt' } }
    },
    async refresh(config: (typeof asked)[0], { refreshToken }: { refreshToken: string }) {
      asked.push(config)
      assert.equal(refreshToken, 'rt')
      // As iOS answers, when there is nothing.
      return { ...result, refreshToken: '', idToken: '', accessTokenExpirationDate: '' }
    },
  }

  it('is asked for what the API, the device and the age of the sign-in need', async () => {
    const auth = appAuth(module, SETTINGS)
    const expiresAt = Date.parse('2026-01-01T00:00:00Z')
    assert.deepEqual(await auth.signIn(REQUEST), { ...TOKEN, expiresAt, ticket: 'lt' })
    assert.deepEqual(asked[0]?.scopes, ['openid', 'notes:read'])
    assert.deepEqual(asked[0]?.additionalParameters, {
      ...{ resource: 'https://api.example.com', max_age: '300', device_id: 'the-device' },
    })
    const { refreshToken, expiresAt: none, ticket } = await auth.refresh('rt')
    assert.deepEqual([refreshToken, none, ticket], [undefined, 0, undefined])
    assert.deepEqual(asked[1]?.additionalParameters, { resource: 'https://api.example.com' })
  })

  it('says why: only `invalid_grant` is a refusal', async () => {
    const refused = { ...module, refresh: fails({ code: 'invalid_grant' }) }
    await assert.rejects(appAuth(refused, SETTINGS).refresh('rt'), { code: 'REFUSED' })
    const offline = { code: 'token_refresh_failed', message: 'invalid_grant, says the portal' }
    const portal = { ...module, refresh: fails(offline), authorize: fails(new Error('the code was c0de')) }
    const auth = appAuth(portal, SETTINGS)
    await assert.rejects(auth.refresh('rt'), offline)
    await assert.rejects(auth.signIn(REQUEST), { code: 'SIGN_IN_FAILED', message: /^(?!.*c0de)/ })
  })

  it('is not asked at an address that is no authority', () => {
    const settings = { ...SETTINGS, authority: 'http://login.example.com' }
    assert.throws(() => appAuth(module, settings), { code: 'CONFIGURATION' })
  })
})

describe('expo-auth-session', () => {
  const exchanged: unknown[] = []
  /** @param answer what the browser came back with */
  const authWith = (answer: { type: string; params?: Record<string, string> }) =>
    expoAuthSession(
      {
        AuthRequest: class {
          codeVerifier = 'verifier'
          promptAsync = async () => answer
        },
        async exchangeCodeAsync(settings) {
          exchanged.push(settings)
          return { ...TOKEN, issuedAt: 1_000, expiresIn: 60, rawResponse: { logout_ticket: 'lt' } }
        },
        refreshAsync: () => Promise.reject(new TypeError('Network request failed')),
      },
      SETTINGS,
    )
  const iss = 'https://login.example.com'

  it('exchanges the code with its proof, for the API, from this device', async () => {
    const auth = authWith({ type: 'success', params: { code: 'c0de', iss } })
    assert.deepEqual(await auth.signIn(REQUEST), { ...TOKEN, expiresAt: 1_060_000, ticket: 'lt' })
    const proven = { code_verifier: 'verifier', device_id: 'the-device', resource: 'https://api.example.com' }
    const { clientId, redirectUri } = SETTINGS
    assert.deepEqual(exchanged, [{ clientId, redirectUri, code: 'c0de', extraParams: proven }])
    await assert.rejects(auth.refresh('rt'), TypeError)
  })

  const answers = {
    cancel: { type: 'cancel' },
    access_denied: { type: 'error', params: { error: 'access_denied', iss } },
    error: { type: 'error', params: { code: 'c0de', iss, state: 'of another request' } },
    success: { type: 'success', params: { iss } },
    iss: { type: 'success', params: { code: 'c0de', iss: 'https://other.example.com' } },
  }
  for (const [reason, answer] of Object.entries(answers))
    it(`exchanges nothing after ${JSON.stringify(answer)}`, async () => {
      const before = exchanged.length
      await assert.rejects(authWith(answer).signIn(REQUEST), { code: 'SIGN_IN_FAILED', reason })
      assert.equal(exchanged.length, before)
    })
  it('exchanges nothing that does not say whose it is', async () => {
    const silent = authWith({ type: 'success', params: { code: 'c0de' } })
    await assert.rejects(silent.signIn(REQUEST), { code: 'SIGN_IN_FAILED', reason: 'iss' })
  })
})

it('netInfo hears of a network that leads somewhere', () => {
  let tell: (state: { isConnected: boolean | null; isInternetReachable?: boolean | null }) => void = () => {}
  const heard: boolean[] = []
  const stop = netInfo({
    addEventListener(listener) {
      tell = listener
      return () => heard.push(false)
    },
  })((online) => heard.push(online))
  tell({ isConnected: true })
  tell({ isConnected: true, isInternetReachable: null })
  tell({ isConnected: true, isInternetReachable: false })
  tell({ isConnected: null })
  stop()
  assert.deepEqual(heard, [true, true, false, false, false])
})

it('appState hears of the foreground', () => {
  let tell: (state: string) => void = () => {}
  let heard = 0
  let removed = 0
  const stop = appState({
    addEventListener(_type, listener) {
      tell = listener
      return { remove: () => removed++ }
    },
  })(() => heard++)
  for (const state of ['background', 'inactive', 'active']) tell(state)
  stop()
  assert.deepEqual([heard, removed], [1, 1])
})
