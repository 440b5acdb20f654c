import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createRemoteJWKSet, customFetch, decodeJwt, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { rotateSigningKey } from '../packages/authority/src/keys/ring.ts'
import { until } from '../packages/guard/test/peer.ts'
import { createBrowser, signInThrough } from '../tools/browser.ts'
import { type Receiver, startReceiver } from './receiver.ts'
import { claimsOf, createRelyingParty, DONE, INSECURE } from './relying-party.ts'
import { CALLBACK, CLIENTS, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { post, refreshed, signIn } from './sign-in.ts'

/* OpenID Connect Back-Channel Logout 1.0, as a relying party sees it that trusts nothing. */

const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'
const MINUTE = 60_000

function withLogout(uri: string) {
  const [app, ...others] = CLIENTS
  return [{ ...app, backchannel_logout_uri: uri }, ...others] as typeof CLIENTS
}

/** What §2.6 wants of a logout token; throws where it is not so. */
async function verifyLogout(test: TestAuthority, body: string, clientId: string) {
  const token = new URLSearchParams(body).get('logout_token')
  const keys = createRemoteJWKSet(new URL(`${test.issuer}/oauth/jwks`), { [customFetch]: fetch })
  const { payload } = await jwtVerify(`${token}`, keys, {
    ...{ issuer: test.issuer, audience: clientId, typ: 'logout+jwt', algorithms: ['EdDSA'] },
    ...{ requiredClaims: ['iat', 'exp', 'jti', 'events', 'sub', 'sid'], maxTokenAge: 120 },
    currentDate: new Date(test.authority.now()),
  })
  assert.deepEqual(payload.events, { [LOGOUT_EVENT]: {} })
  assert.equal('nonce' in payload, false)
  assert.ok((payload.exp ?? 0) - (payload.iat ?? 0) <= 120)
  return payload
}

async function logOut(test: TestAuthority, tokens: { access_token: string; refresh_token?: string }) {
  const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
  assert.equal((await post(`${test.issuer}/v1/revoke`, pair)).status, 200)
}

const deliveries = ({ authority }: TestAuthority) =>
  authority.store.read({ kind: 'deliveries', limit: 1_000 })

async function withRelyingParty(work: (test: TestAuthority, receiver: Receiver) => Promise<void>) {
  const receiver = await startReceiver()
  const clients = withLogout(`${receiver.url}/logout`)
  const test = await startTestAuthority({ clients, logLevel: 'silent' })
  try {
    await work(test, receiver)
  } finally {
    await test.stop()
    await receiver.close()
  }
}

describe('back-channel logout', () => {
  it('is advertised', async () => {
    await withRelyingParty(async ({ issuer }) => {
      const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
      const { backchannel_logout_supported: yes, backchannel_logout_session_supported: sid } =
        metadata as never
      assert.deepEqual([yes, sid], [true, true])
    })
  })

  it('tells the client of the session that ended, by the sid that its ID tokens carry', async () => {
    await withRelyingParty(async (test, receiver) => {
      const app = await createRelyingParty(test.issuer)
      const tokens = await app.signIn()
      const { sid, sub } = claimsOf(tokens.id_token)
      assert.equal(sid, claimsOf(tokens.access_token).sid, 'the ID token names our session')
      const next = await app.refresh(tokens.refresh_token)
      assert.equal(claimsOf(next.id_token).sid, sid, 'that of a refresh too')
      await logOut(test, next as never)
      await until(() => receiver.received.length === 1)
      const [call] = receiver.received
      assert.equal(call?.path, '/logout')
      assert.equal(call?.headers['content-type'], 'application/x-www-form-urlencoded')
      const payload = await verifyLogout(test, `${call?.body}`, 'app')
      assert.deepEqual([payload.sid, payload.sub], [sid, sub])
      await assert.rejects(verifyLogout(test, `${call?.body}`, 'other-app'))
    })
  })

  it('is accepted by a relying party on openid-client: it ends its own session of that sign-in, and no other', async () => {
    const receiver = await startReceiver()
    const [app, ...others] = CLIENTS
    const backend = {
      ...others.find(({ client_id }) => client_id === 'backend'),
      backchannel_logout_uri: `${receiver.url}/logout`,
    } as (typeof CLIENTS)[number]
    const clients = [app, backend] as typeof CLIENTS
    const test = await startTestAuthority({ clients, logLevel: 'silent' })
    const metadata = { client_secret: 'the secret of the backend', id_token_signed_response_alg: 'EdDSA' }
    const config = await client.discovery(new URL(test.issuer), 'backend', metadata, undefined, {
      execute: [client.allowInsecureRequests],
    })
    // By the `sid` of the ID token, as its §2.5 has it.
    const sessions = new Map<string, string>()
    const keys = createRemoteJWKSet(new URL(`${config.serverMetadata().jwks_uri}`), { [customFetch]: fetch })
    const accepted: number[] = []
    receiver.answer = async ({ body }, res) => {
      try {
        const token = `${new URLSearchParams(body).get('logout_token')}`
        const { payload } = await jwtVerify(token, keys, {
          ...{ issuer: config.serverMetadata().issuer, audience: 'backend', typ: 'logout+jwt' },
        })
        if (!Object.hasOwn(payload.events as object, LOGOUT_EVENT) || 'nonce' in payload)
          throw new Error('no logout token')
        sessions.delete(`${payload.sid}`)
        res.statusCode = 200
      } catch {
        res.statusCode = 400
      }
      accepted.push(res.statusCode)
      res.end()
    }
    const signInThere = async () => {
      const pkceCodeVerifier = client.randomPKCECodeVerifier()
      const expectedState = client.randomState()
      const url = client.buildAuthorizationUrl(config, {
        ...{ redirect_uri: CALLBACK, scope: 'openid', state: expectedState, code_challenge_method: 'S256' },
        code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      })
      const back = await signInThrough(createBrowser(), url.href, PERSON, DONE)
      const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState })
      sessions.set(`${tokens.claims()?.sid}`, `${tokens.claims()?.sub}`)
      return { tokens, sid: `${tokens.claims()?.sid}` }
    }
    const [one, two] = [await signInThere(), await signInThere()]
    assert.equal(sessions.size, 2)
    await logOut(test, one.tokens)
    await until(() => accepted.length === 1)
    assert.deepEqual([accepted, [...sessions.keys()]], [[200], [two.sid]])
    await test.stop()
    await receiver.close()
  })

  it('tells of sessions that end in whatever way, and no client of another’s', async () => {
    await withRelyingParty(async (test, receiver) => {
      const mine = await signIn(test.issuer)
      const other = await signIn(test.issuer, { clientId: 'other-app' })
      await logOut(test, other)
      await logOut(test, { access_token: (await refreshed(test.issuer, mine.refresh_token)).access_token })
      const sid = `${claimsOf(mine.access_token).sid}`
      const request = {
        by: { kind: 'session' as const, sid },
        reason: 'admin_forced' as const,
        actor: 'test',
      }
      await test.authority.store.transact({ kind: 'revoke', request, at: test.authority.now() })
      await until(() => receiver.received.length >= 1)
      await new Promise((resolve) => setTimeout(resolve, 1_200))
      assert.equal(receiver.received.length, 1, 'an access token that dies is not a logout')
      assert.equal((await verifyLogout(test, `${receiver.received[0]?.body}`, 'app')).sid, sid)
    })
  })

  it('comes once when the person signs out at the authority', async () => {
    await withRelyingParty(async (test, receiver) => {
      const browser = createBrowser()
      const tokens = await signIn(test.issuer, { browser })
      const page = await browser.open(`${test.issuer}/oauth/logout?id_token_hint=${tokens.id_token}`)
      await browser.submit(page, /\/logout\/confirm$/, { logout: 'yes' })
      await until(() => receiver.received.length >= 1)
      await new Promise((resolve) => setTimeout(resolve, 1_200))
      assert.equal(receiver.received.length, 1, 'the protocol library sends none of its own')
      const { sid } = await verifyLogout(test, `${receiver.received[0]?.body}`, 'app')
      assert.equal(sid, claimsOf(tokens.id_token).sid)
    })
  })

  it('signs at the time at which it sends, with the key of that time', async () => {
    await withRelyingParty(async (test, receiver) => {
      receiver.answer = (_req, res) => void res.writeHead(503).end()
      await logOut(test, await signIn(test.issuer))
      await until(async () => (await deliveries(test))[0]?.attempts === 1)
      const { store, seal, now } = test.authority
      const kid = await rotateSigningKey(store, seal, 'test', now())
      await test.restart()
      receiver.answer = (_req, res) => void res.writeHead(200).end()
      test.advance(30 * MINUTE)
      await until(() => receiver.received.length === 2)
      const [first, second] = receiver.received.map(
        ({ body }) => `${new URLSearchParams(body).get('logout_token')}`,
      )
      await verifyLogout(test, `${receiver.received[1]?.body}`, 'app')
      const header = JSON.parse(Buffer.from(`${second}`.split('.')[0] ?? '', 'base64url').toString())
      assert.equal(header.kid, kid)
      assert.notEqual(decodeJwt(`${first}`).jti, decodeJwt(`${second}`).jti)
    })
  })

  it('is given up when the client says that it will not', async () => {
    await withRelyingParty(async (test, receiver) => {
      receiver.answer = (_req, res) => void res.writeHead(400).end()
      await logOut(test, await signIn(test.issuer))
      await until(async () => (await deliveries(test))[0]?.state === 'dead')
      assert.equal((await deliveries(test))[0]?.attempts, 1)
    })
  })
})

describe('a client that registered itself', () => {
  async function register(test: TestAuthority, uri: string) {
    const { as } = await createRelyingParty(test.issuer)
    const metadata = {
      ...{ redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none', client_name: 'A new app' },
      ...{ backchannel_logout_uri: uri, backchannel_logout_session_required: true },
    }
    const response = await oauth.dynamicClientRegistrationRequest(as, metadata, INSECURE)
    return oauth.processDynamicClientRegistrationResponse(response)
  }
  async function signInAndOut(test: TestAuthority, client: oauth.Client) {
    const app = await createRelyingParty(test.issuer, { client })
    const tokens = await app.signIn()
    assert.equal(claimsOf(tokens.id_token).sid, claimsOf(tokens.access_token).sid)
    await logOut(test, tokens as never)
  }

  it('can ask for logouts, but not have us call an address of this network', async () => {
    const receiver = await startReceiver()
    const test = await startTestAuthority({ logLevel: 'silent' })
    const uris = [
      `${receiver.url}/logout`,
      `http://localhost:${receiver.port}/logout`,
      `http://[::ffff:127.0.0.1]:${receiver.port}/logout`,
    ]
    for (const [index, uri] of uris.entries()) {
      const client = await register(test, uri)
      assert.equal(client.backchannel_logout_uri, uri)
      await signInAndOut(test, client)
      await until(async () => (await deliveries(test))[index]?.state === 'dead')
      assert.equal((await deliveries(test))[index]?.lastError, 'its address is not a public one')
    }
    assert.equal(receiver.received.length, 0)
    await test.stop()
    await receiver.close()
  })

  it('is refused a URI that is none', async () => {
    const test = await startTestAuthority()
    await assert.rejects(register(test, 'javascript:alert(1)'))
    await assert.rejects(register(test, 'file:///etc/passwd'))
    await test.stop()
  })
})
