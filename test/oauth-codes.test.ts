import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as oauth from 'oauth4webapi'
import { createBrowser, signInThrough } from '../tools/browser.ts'
import { claimsOf, createRelyingParty, DONE, errorOf, type RelyingParty } from './relying-party.ts'
import { API, CALLBACK, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, refresh, tokenRequest } from './sign-in.ts'

/* From the authorization request to the tokens, and all that may not pass on the way. */

describe('authorization codes', () => {
  let authority: TestAuthority
  let app: RelyingParty
  let backend: RelyingParty
  before(async () => {
    authority = await startTestAuthority()
    app = await createRelyingParty(authority.issuer)
    const auth = oauth.ClientSecretBasic('the secret of the backend')
    backend = await createRelyingParty(authority.issuer, { client: { client_id: 'backend' }, auth })
  })
  after(() => authority.stop())

  async function authorize(changes: Record<string, string | undefined> = {}) {
    const request = await app.begin(changes)
    const back = await signInThrough(createBrowser(), request.url.href, PERSON, DONE)
    return { ...request, back, code: `${back.searchParams.get('code')}` }
  }
  function exchange({ code, verifier }: { code: string; verifier: string }, changes = {}, clientId = 'app') {
    const fields = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: CALLBACK }
    return tokenRequest(authority.issuer, { ...fields, ...changes }, clientId)
  }
  const wordOf = async (response: Response) => ((await response.json()) as { error?: string }).error
  /** Where a request ends that no person has to see. */
  async function refusedWith(url: URL | string, browser = createBrowser()) {
    const page = await browser.open(`${url}`, DONE)
    assert.match(page.url, DONE)
    const { searchParams } = new URL(page.url)
    assert.equal(searchParams.get('code'), null)
    assert.equal(searchParams.get('iss'), authority.issuer, 'RFC 9207: errors too')
    return searchParams.get('error')
  }

  it('the answer says who answers, and a client that asked somebody else does not take it (RFC 9207)', async () => {
    const { back, state, finish } = await authorize()
    assert.equal(back.searchParams.get('iss'), authority.issuer)
    const evil = { ...app.as, issuer: 'https://evil.example' }
    assert.throws(() => oauth.validateAuthResponse(evil, { client_id: 'app' }, back, state), /iss/)
    const without = new URL(back)
    without.searchParams.delete('iss')
    assert.throws(() => oauth.validateAuthResponse(app.as, { client_id: 'app' }, without, state), /iss/)
    assert.equal(typeof (await finish(back)).refresh_token, 'string')
  })

  it('the first answer has a logout ticket, refreshes have none, and it ends the session', async () => {
    const first = await app.signIn()
    assert.match(`${first.logout_ticket}`, /^\S{40,}$/)
    const next = await app.refresh(first.refresh_token)
    assert.ok(!('logout_ticket' in next))
    await app.revoke(`${first.logout_ticket}`)
    for (const token of [first.access_token, next.access_token]) {
      assert.equal(await lives(authority.issuer, token), false)
    }
    assert.equal(await errorOf(app.refresh(next.refresh_token)), 'invalid_grant')
  })

  it('PKCE: S256 or nothing, and the verifier has to be the one', async () => {
    for (const changes of [
      { code_challenge: undefined, code_challenge_method: undefined },
      { code_challenge_method: 'plain' },
      { code_challenge_method: undefined },
      { code_challenge_method: 'S512' },
    ]) {
      assert.equal(await refusedWith((await app.begin(changes)).url), 'invalid_request')
    }
    const request = await authorize()
    const other = oauth.generateRandomCodeVerifier()
    assert.equal(await wordOf(await exchange({ ...request, verifier: other })), 'invalid_grant')
    const without = await tokenRequest(authority.issuer, {
      grant_type: 'authorization_code',
      code: request.code,
      redirect_uri: CALLBACK,
    })
    assert.equal(await wordOf(without), 'invalid_grant')
    assert.equal((await exchange(request)).status, 200)
  })

  it('a code is for its client and its redirect URI', async () => {
    const request = await authorize()
    assert.equal(await wordOf(await exchange(request, {}, 'other-app')), 'invalid_grant')
    assert.equal(await wordOf(await exchange(request, {}, 'backend')), 'invalid_grant')
    const elsewhere = { redirect_uri: 'https://app.example/other' }
    assert.equal(await wordOf(await exchange(request, elsewhere)), 'invalid_grant')
    assert.equal((await exchange(request)).status, 200)
  })

  it('a code that comes twice takes its session with it (RFC 6749 §4.1.2)', async () => {
    const request = await authorize()
    const tokens = await request.finish(request.back)
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    assert.equal(await wordOf(await exchange(request)), 'invalid_grant')
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    assert.equal((await refresh(authority.issuer, `${tokens.refresh_token}`)).status, 400)
  })

  it('of many exchanges of one code at once, none leaves a second session', async () => {
    const request = await authorize()
    const answers = await Promise.all(Array.from({ length: 6 }, () => exchange(request)))
    const bodies = (await Promise.all(answers.map((one) => one.json()))) as { access_token?: string }[]
    const granted = bodies.flatMap(({ access_token }) => access_token ?? [])
    assert.ok(granted.length <= 1, `${granted.length} answers had tokens`)
    for (const token of granted) assert.equal(await lives(authority.issuer, token), false)
  })

  it('a redirect URI that was not registered is never gone to', async () => {
    for (const redirect_uri of [
      'https://evil.example/callback',
      `${CALLBACK}/more`,
      `${CALLBACK}?more=1`,
      'https://app.example.evil.example/callback',
      'http://app.example/callback',
    ]) {
      const page = await createBrowser().open(
        `${(await app.begin({ redirect_uri })).url}`,
        /^https?:\/\/[^/]*\.example\//,
      )
      assert.equal(page.status, 400, redirect_uri)
      assert.ok(page.url.startsWith(authority.issuer))
    }
  })

  it('implicit and hybrid flows are not offered', async () => {
    for (const response_type of ['token', 'id_token', 'code id_token']) {
      const page = await createBrowser().open(
        `${(await app.begin({ response_type, nonce: 'n' })).url}`,
        /^https:\/\/app\.example\//,
      )
      const answer = new URL(page.url)
      const error = new URLSearchParams(answer.search || answer.hash.slice(1)).get('error')
      assert.equal(error, 'unsupported_response_type', response_type)
    }
  })

  it('PAR: what was pushed counts, once, for the client that pushed it', async () => {
    const { parameters, state, finish } = await app.begin()
    const url = await app.push(parameters)
    // Whatever a link adds or changes is not what was pushed.
    url.searchParams.set('scope', 'openid notes:read notes:write')
    url.searchParams.set('redirect_uri', 'https://evil.example/')
    const browser = createBrowser()
    const back = await signInThrough(browser, url.href, PERSON, DONE)
    assert.equal(back.searchParams.get('state'), state)
    assert.equal((await finish(back)).scope, 'openid notes:read')
    const again = await browser.open(url.href, DONE)
    assert.equal(new URL(again.url).searchParams.get('code'), null, 'a second time')

    const stolen = await app.push((await app.begin()).parameters)
    stolen.searchParams.set('client_id', 'other-app')
    const page = await createBrowser().open(stolen.href, DONE)
    assert.doesNotMatch(page.html, /name="password"/)
    assert.doesNotMatch(page.url, /[?&]code=/)
  })

  it('PAR: the client has to prove itself, and a bad request is told at once', async () => {
    const { parameters } = await backend.begin()
    const bare = await fetch(`${app.as.pushed_authorization_request_endpoint}`, {
      method: 'POST',
      body: parameters,
    })
    assert.deepEqual([bare.status, await wordOf(bare)], [401, 'invalid_client'])
    const plain = await app.begin({ code_challenge_method: 'plain' })
    assert.equal(await errorOf(app.push(plain.parameters)), 'invalid_request')
    const nowhere = await app.begin({ resource: 'https://unknown.example' })
    assert.equal(await errorOf(app.push(nowhere.parameters)), 'invalid_target')
    assert.equal((await backend.push(parameters)).searchParams.get('client_id'), 'backend')
  })

  it('PAR: a request without a scope gets what the resource offers too', async () => {
    const { parameters, finish } = await app.begin({ scope: undefined })
    const url = await app.push(parameters)
    const tokens = await finish(await signInThrough(createBrowser(), url.href, PERSON, DONE))
    assert.equal(tokens.scope, 'notes:read notes:write')
  })

  it('scopes: only what the resource has, and no more by refreshing', async () => {
    const tokens = await app.signIn({ scope: 'openid notes:read account:read' })
    assert.equal(tokens.scope, 'openid notes:read')
    assert.equal(claimsOf(tokens.access_token).scope, 'openid notes:read')
    const more = app.refresh(tokens.refresh_token, { scope: 'openid notes:read notes:write' })
    assert.equal(await errorOf(more), 'invalid_scope')
    const less = await app.refresh(tokens.refresh_token, { scope: 'notes:read' })
    assert.equal(claimsOf(less.access_token).scope, 'notes:read')
    const back = await app.refresh(less.refresh_token)
    assert.equal(back.scope, 'openid notes:read', 'narrowing is for one token')
  })

  it('resources: the token is for the one that was asked for, and never for another (RFC 8707)', async () => {
    const mcp = `${authority.issuer}/mcp`
    const tokens = await app.signIn({ resource: mcp, scope: 'account:read' })
    assert.equal(claimsOf(tokens.access_token).aud, mcp)
    assert.equal(tokens.scope, 'account:read')
    assert.equal(await errorOf(app.refresh(tokens.refresh_token, { resource: API })), 'invalid_target')
    const same = await app.refresh(tokens.refresh_token, { resource: mcp })
    assert.equal(claimsOf(same.access_token).aud, mcp)

    const request = await authorize()
    assert.equal(await wordOf(await exchange(request, { resource: mcp })), 'invalid_target')
    assert.equal(
      await refusedWith((await app.begin({ resource: 'https://unknown.example' })).url),
      'invalid_target',
    )
  })

  it('prompt=none never asks: a code for whoever is signed in here, an error for anybody else', async () => {
    const browser = createBrowser()
    assert.equal(await refusedWith((await app.begin({ prompt: 'none' })).url, browser), 'login_required')
    const first = await app.signIn({}, browser)
    const silent = await app.begin({ prompt: 'none' })
    const tokens = await silent.finish(new URL((await browser.open(silent.url.href, DONE)).url))
    assert.equal(claimsOf(tokens.access_token).sub, claimsOf(first.access_token).sub)
    await app.revoke(`${tokens.logout_ticket}`)
    assert.equal(
      await refusedWith((await app.begin({ prompt: 'none' })).url, browser),
      'login_required',
      'after a logout',
    )
  })

  it('prompt=login and max_age ask for the password of somebody who is signed in', async () => {
    const browser = createBrowser()
    await app.signIn({}, browser)
    for (const changes of [{ prompt: 'login' }, { max_age: '0' }]) {
      const page = await browser.open(`${(await app.begin(changes)).url}`, DONE)
      assert.match(page.html, /name="password"/, JSON.stringify(changes))
    }
    const soon = await browser.open(`${(await app.begin({ max_age: '3600' })).url}`, DONE)
    assert.match(soon.url, DONE)
  })

  it('an ID token is for its client and its request', async () => {
    const request = await app.begin({ nonce: 'the-nonce' })
    const back = await signInThrough(createBrowser(), request.url.href, PERSON, DONE)
    const callback = oauth.validateAuthResponse(app.as, { client_id: 'app' }, back, request.state)
    const options = { [oauth.allowInsecureRequests]: true }
    const response = await oauth.authorizationCodeGrantRequest(
      app.as,
      { client_id: 'app' },
      oauth.None(),
      callback,
      CALLBACK,
      request.verifier,
      options,
    )
    const expected = { expectedNonce: 'the-nonce', requireIdToken: true }
    const tokens = await oauth.processAuthorizationCodeResponse(
      app.as,
      { client_id: 'app' },
      response,
      expected,
    )
    await oauth.validateApplicationLevelSignature(app.as, response, options)
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    assert.equal(claims?.aud, 'app')
    assert.equal(claims?.sub, claimsOf(tokens.access_token).sub)
  })
})
