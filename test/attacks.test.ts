import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { createBrowser } from '../tools/browser.ts'
import { API, CALLBACK, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, lives, post, refresh, signIn, tokenRequest } from './sign-in.ts'

/* What somebody with a token, or with none, has tried. */

describe('with a token of a stranger and a session of one’s own', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const revoke = async (accessToken: string, refreshToken?: string) =>
    (await post(`${authority.issuer}/v1/revoke`, { accessToken, ...(refreshToken ? { refreshToken } : {}) }))
      .status

  it('an access token that was revoked before does not end its session', async () => {
    const [victim, own] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    await revoke(victim.access_token)
    assert.equal(await revoke(victim.access_token, own.refresh_token), 200)
    assert.equal((await refresh(authority.issuer, own.refresh_token)).status, 400, 'one’s own ends')
    assert.equal((await refresh(authority.issuer, victim.refresh_token)).status, 200)
  })

  it('a live one dies alone when what is sent along is dead', async () => {
    const [victim, own] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    await revoke(own.access_token, own.refresh_token)
    assert.equal(await revoke(victim.access_token, own.refresh_token), 200)
    assert.equal(await lives(authority.issuer, victim.access_token), false)
    assert.equal((await refresh(authority.issuer, victim.refresh_token)).status, 200)
  })

  it('an expired one, found in a log, ends nothing', async () => {
    const [victim, own] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    await revoke(own.access_token, own.refresh_token)
    authority.advance(660_000)
    await revoke(victim.access_token, own.refresh_token)
    assert.equal((await refresh(authority.issuer, victim.refresh_token)).status, 200)
  })

  it('names that every object has are no resources and no scopes', async () => {
    const tokens = await signIn(authority.issuer)
    for (const resource of ['constructor', '__proto__', 'toString']) {
      const fields = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token, resource }
      assert.equal((await tokenRequest(authority.issuer, fields)).status, 400)
    }
    assert.equal(
      (await refresh(authority.issuer, tokens.refresh_token)).status,
      200,
      'the refresh token was used up',
    )
    const scope = 'openid constructor toString notes:read'
    assert.equal(
      (await signIn(authority.issuer, { scope, clientId: 'third-party' })).scope,
      'openid notes:read',
    )
  })
})

describe('with nothing', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  it('another spelling of a path is another path, so no budget is walked around', async () => {
    const { hostname, port } = new URL(authority.url)
    const body = JSON.stringify({ redirect_uris: ['https://new.example/cb'] })
    const register = (path: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': body.length }
        const req = request({ hostname, port, path, method: 'POST', headers }, (res) => {
          res.resume()
          resolve(res.statusCode)
        })
        req.on('error', reject).end(body)
      })
    for (const path of ['/oauth/register/', '/oauth/REGISTER', '/oauth//register', '/OAUTH/register']) {
      assert.equal(await register(path), 404, path)
    }
    const absolute = `${authority.issuer}/oauth/register`
    const statuses = []
    for (let i = 0; i < 25; i++) statuses.push(await register(i % 2 ? absolute : '/oauth/register'))
    assert.equal(statuses[0], 201)
    assert.equal(statuses.at(-1), 429)
  })

  it('a registration is small', async () => {
    const redirect_uris = Array.from({ length: 1000 }, (_, i) => `https://${i}.example/cb`)
    assert.equal((await post(`${authority.issuer}/oauth/register`, { redirect_uris })).status, 413)
  })

  it('nobody is kept from logging out by the bad tokens of others', async () => {
    const own = await startTestAuthority()
    const tokens = await signIn(own.issuer)
    for (let i = 0; i < 80; i++) await post(`${own.issuer}/v1/revoke`, { accessToken: `guess ${i}` })
    const bad = await post(`${own.issuer}/v1/revoke`, { accessToken: 'one more' })
    assert.equal(bad.status, 429)
    const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
    assert.equal((await post(`${own.issuer}/v1/revoke`, pair)).status, 200)
    await own.stop()
  })

  it('one sign-in grants one resource, the one that the person is shown', async () => {
    const { url } = authorizationRequest(authority.issuer, { clientId: 'third-party' })
    const page = await createBrowser().open(
      `${url}&resource=${encodeURIComponent(`${authority.issuer}/mcp`)}`,
      /^https:\/\/app/,
    )
    assert.equal(new URL(page.url).searchParams.get('error'), 'invalid_target')
  })

  it('an app’s scheme can’t dress up as a web site on the consent page', async () => {
    authority.advance(600_000)
    const redirect = 'com.evil.app://accounts.example/cb'
    const registered = await post(`${authority.issuer}/oauth/register`, {
      redirect_uris: [redirect],
      application_type: 'native',
      token_endpoint_auth_method: 'none',
    })
    assert.equal(registered.status, 201)
    const { client_id } = (await registered.json()) as { client_id: string }
    const { url } = authorizationRequest(authority.issuer, { clientId: client_id })
    const browser = createBrowser()
    const page = await browser.open(url.replace(encodeURIComponent(CALLBACK), encodeURIComponent(redirect)))
    const consent = await browser.submit(page, /\/login$/, PERSON)
    assert.doesNotMatch(consent.html, />accounts\.example</)
    assert.match(consent.html, /com\.evil\.app:/)
  })
})

describe('with patience', () => {
  it('a token that was revoked stays dead when the configured lifetime is cut', async () => {
    const first = await startTestAuthority()
    const long = await startTestAuthority({ policy: { ...first.config.policy, accessTokenTtl: 3600 } })
    await first.stop()
    const tokens = await signIn(long.issuer, { resource: API })
    await post(`${long.issuer}/v1/revoke`, {
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
    })
    long.advance(12 * 60_000)
    long.config.policy.accessTokenTtl = 600
    await long.restart()
    assert.equal(await lives(long.issuer, tokens.access_token), false)
    await long.stop()
  })
})
