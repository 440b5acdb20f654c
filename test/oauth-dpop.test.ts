import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { calculateJwkThumbprint, exportJWK, type JWK, SignJWT } from 'jose'
import * as oauth from 'oauth4webapi'
import { createBrowser, signInThrough } from '../tools/browser.ts'
import { createRelyingParty, DONE, errorOf, type RelyingParty } from './relying-party.ts'
import { CALLBACK, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refresh } from './sign-in.ts'

/* RFC 9449: a stolen token is worth nothing without its key, and a proof is good for one request. */

const APP: oauth.Client = { client_id: 'app' }
const BACKEND: oauth.Client = { client_id: 'backend' }
const BACKEND_AUTH = oauth.ClientSecretBasic('the secret of the backend')

type Key = { pair: oauth.CryptoKeyPair; jwk: JWK; jkt: string }

describe('DPoP', () => {
  let authority: TestAuthority
  let key: Key
  let app: RelyingParty
  before(async () => {
    authority = await startTestAuthority()
    key = await newKey()
    app = await createRelyingParty(authority.issuer, { DPoP: oauth.DPoP(APP, key.pair) })
  })
  after(() => authority.stop())

  async function newKey(): Promise<Key> {
    const pair = await oauth.generateKeyPair('ES256', { extractable: true })
    const jwk = await exportJWK(pair.publicKey)
    return { pair, jwk, jkt: await calculateJwkThumbprint(jwk) }
  }

  /** A proof by hand, so that each of its parts can be wrong. */
  function proof(changes: Record<string, unknown>, by: Key = key, header: Record<string, unknown> = {}) {
    const claims = { jti: randomUUID(), iat: Math.floor(Date.now() / 1000), ...changes }
    const protectedHeader = { alg: 'ES256', typ: 'dpop+jwt', jwk: by.jwk, ...header }
    return new SignJWT(claims).setProtectedHeader(protectedHeader).sign(by.pair.privateKey)
  }
  const hashOf = (token: string) => createHash('sha256').update(token).digest('base64url')
  const session = () => `${authority.issuer}/v1/session`
  const present = (token: string, dpop?: string, scheme = 'DPoP') =>
    fetch(session(), { headers: { authorization: `${scheme} ${token}`, ...(dpop ? { dpop } : {}) } })

  it('a bound token works with its key at every endpoint of ours, and nowhere without', async () => {
    const tokens = await app.signIn()
    assert.equal(tokens.token_type, 'dpop')
    assert.equal((await app.ask(tokens.access_token, session())).status, 200)
    assert.equal(typeof (await app.userinfo(tokens.access_token)).sub, 'string')
    assert.equal(await lives(authority.issuer, tokens.access_token), false, 'as a bearer token')
    assert.equal((await present(tokens.access_token)).status, 401, 'without a proof')
    const bearerUserinfo = await fetch(`${app.as.userinfo_endpoint}`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    })
    assert.equal(bearerUserinfo.status, 401)
  })

  it('a token that is not bound can’t be used as one that is', async () => {
    const plain = await createRelyingParty(authority.issuer)
    const { access_token } = await plain.signIn()
    const good = await proof({ htm: 'GET', htu: session(), ath: hashOf(access_token) })
    assert.equal((await present(access_token, good)).status, 401)
    assert.equal(await lives(authority.issuer, access_token), true, 'as what it is')
  })

  it('a proof is for one method, one address, one token, one moment and one use', async () => {
    const { access_token } = await app.signIn()
    const fitting = { htm: 'GET', htu: session(), ath: hashOf(access_token) }
    const now = Math.floor(Date.now() / 1000)
    const wrong: Record<string, Promise<string>> = {
      'another method': proof({ ...fitting, htm: 'POST' }),
      'another address': proof({ ...fitting, htu: `${authority.issuer}/oauth/userinfo` }),
      'another host': proof({ ...fitting, htu: 'https://evil.example/v1/session' }),
      'another token': proof({ ...fitting, ath: hashOf('another token') }),
      'no token': proof({ htm: 'GET', htu: session() }),
      'an hour old': proof({ ...fitting, iat: now - 3600 }),
      'of the next hour': proof({ ...fitting, iat: now + 3600 }),
      'no moment': proof({ ...fitting, iat: undefined }),
      'no id': proof({ ...fitting, jti: undefined }),
      'another key': proof(fitting, await newKey()),
      'of another type': proof(fitting, key, { typ: 'JWT' }),
      'signed by another key than it names': proof(fitting, { ...key, pair: (await newKey()).pair }),
    }
    for (const [what, made] of Object.entries(wrong)) {
      const response = await present(access_token, await made)
      assert.equal(response.status, 401, what)
      assert.equal(((await response.json()) as { code: string }).code, 'AUTHENTICATION_FAILED', what)
    }
    const good = await proof(fitting)
    assert.equal((await present(access_token, good)).status, 200)
    assert.equal((await present(access_token, good)).status, 401, 'a second time')
    const twice = await proof({ ...fitting })
    const answers = await Promise.all([present(access_token, twice), present(access_token, twice)])
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401], 'two at once')
  })

  it('a public client’s refresh token is bound too: no proof, or another key’s, changes nothing', async () => {
    const tokens = await app.signIn()
    const bare = await refresh(authority.issuer, `${tokens.refresh_token}`)
    assert.equal(bare.status, 400)
    assert.equal(((await bare.json()) as { error: string }).error, 'invalid_grant')
    const thief = oauth.DPoP(APP, (await newKey()).pair)
    assert.equal(await errorOf(app.refresh(tokens.refresh_token, {}, thief)), 'invalid_grant')

    const next = await app.refresh(tokens.refresh_token)
    assert.equal(next.token_type, 'dpop')
    assert.equal((await app.ask(next.access_token, session())).status, 200)
    assert.equal(await lives(authority.issuer, next.access_token), false)
  })

  it('a proof that was used at the token endpoint is refused there again, and uses up nothing', async () => {
    const tokens = await app.signIn()
    const htu = `${app.as.token_endpoint}`
    const send = (token: string | undefined, dpop: string) =>
      fetch(htu, {
        method: 'POST',
        headers: { dpop },
        body: new URLSearchParams({
          grant_type: 'refresh_token',
          client_id: 'app',
          refresh_token: `${token}`,
        }),
      })
    const used = await proof({ htm: 'POST', htu })
    const first = await send(tokens.refresh_token, used)
    assert.equal(first.status, 200)
    const { refresh_token } = (await first.json()) as { refresh_token: string }
    const replayed = await send(refresh_token, used)
    assert.equal(replayed.status, 400)
    assert.equal(((await replayed.json()) as { error: string }).error, 'invalid_dpop_proof')
    assert.equal((await send(refresh_token, await proof({ htm: 'POST', htu }))).status, 200)
  })

  it('a code whose request named a key (dpop_jkt) is for that key only', async () => {
    const thief = await newKey()
    for (const [holder, answer] of [
      [thief, 'invalid_grant'],
      [key, undefined],
    ] as const) {
      const request = await app.begin({ dpop_jkt: key.jkt })
      const back = await signInThrough(createBrowser(), request.url.href, PERSON, DONE)
      const htu = `${app.as.token_endpoint}`
      const response = await fetch(htu, {
        method: 'POST',
        headers: { dpop: await proof({ htm: 'POST', htu }, holder) },
        body: new URLSearchParams({
          grant_type: 'authorization_code',
          client_id: 'app',
          redirect_uri: CALLBACK,
          code: `${back.searchParams.get('code')}`,
          code_verifier: request.verifier,
        }),
      })
      assert.equal(response.status, answer ? 400 : 200)
      const body = (await response.json()) as { error?: string; token_type?: string }
      assert.deepEqual([body.error, body.token_type], [answer, answer ? undefined : 'DPoP'])
    }
  })

  it('a confidential client proves itself, so its refresh token goes with any key', async () => {
    const settings = { client: BACKEND, auth: BACKEND_AUTH }
    const backend = await createRelyingParty(authority.issuer, {
      ...settings,
      DPoP: oauth.DPoP(BACKEND, key.pair),
    })
    const tokens = await backend.signIn()
    const other = await newKey()
    const next = await backend.refresh(tokens.refresh_token, {}, oauth.DPoP(BACKEND, other.pair))
    assert.equal(next.token_type, 'dpop')
    const seen = await backend.introspect(next.access_token)
    assert.equal(seen.active, true)
    assert.equal(seen.token_type, 'DPoP')
    assert.deepEqual(seen.cnf, { jkt: other.jkt })
  })

  it('whoever wants to end a bound session needs no key: holding the tokens is enough', async () => {
    const tokens = await app.signIn()
    const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    const good = await proof({ htm: 'GET', htu: session(), ath: hashOf(tokens.access_token) })
    assert.equal((await present(tokens.access_token, good)).status, 401)
    assert.equal(await errorOf(app.refresh(tokens.refresh_token)), 'invalid_grant')
  })
})
