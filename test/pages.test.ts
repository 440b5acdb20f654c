import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createBrowser, type Page } from '../tools/browser.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, lives, post, signIn } from './sign-in.ts'

const DONE = /^https:\/\/app\.example\//

describe('signing in', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const start = (clientId = 'app', browser = createBrowser()) =>
    browser
      .open(authorizationRequest(authority.issuer, { clientId }).url, DONE)
      .then((page) => ({ browser, page }))
  const asksPassword = (page: Page) => /name="password"/.test(page.html)

  it('asks for the password once in a browser, and again after a session there ended', async () => {
    const browser = createBrowser()
    const tokens = await signIn(authority.issuer, { browser })
    assert.match((await start('other-app', browser)).page.url, DONE, 'signed in already')
    await post(`${authority.issuer}/v1/revoke`, {
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
    })
    for (const clientId of ['app', 'other-app']) {
      const { page } = await start(clientId, browser)
      assert.ok(asksPassword(page), 'the next person would walk straight in')
      assert.match(page.html, /was ended/)
    }
    const again = await signIn(authority.issuer, { browser })
    assert.equal(await lives(authority.issuer, again.access_token), true)
    assert.match((await start('app', browser)).page.url, DONE)
  })

  it('asks before it lets somebody else’s app in, and takes no for an answer', async () => {
    const { browser, page } = await start('third-party')
    const consent = await browser.submit(page, /\/login$/, PERSON, DONE)
    assert.match(consent.html, /Somebody else’s app/)
    assert.match(consent.html, /Read your notes/)
    assert.match(consent.html, /app\.example/)
    const back = await browser.submit(consent, /\/cancel$/, {}, DONE)
    assert.equal(new URL(back.url).searchParams.get('error'), 'access_denied')
  })

  it('says the same of a wrong password and of an unknown account', async () => {
    const answers: string[] = []
    for (const email of [PERSON.email, 'nobody@example.com']) {
      const { browser, page } = await start()
      const answer = await browser.submit(page, /\/login$/, { email, password: 'wrong password' })
      assert.equal(answer.status, 401)
      answers.push(answer.html.replaceAll(email, 'EMAIL').replace(/\/interaction\/[\w-]+/g, ''))
    }
    assert.equal(answers[0], answers[1])
  })

  it('slows down guessing, for an account and for an address, and recovers', async () => {
    const own = await startTestAuthority()
    const browser = createBrowser()
    const page = await browser.open(authorizationRequest(own.issuer).url)
    const attempt = (password: string) =>
      browser.submit(page, /\/login$/, { email: PERSON.email, password }, DONE)
    const statuses: number[] = []
    for (let i = 0; i < 25; i++) statuses.push((await attempt(`guess ${i}`)).status)
    assert.equal(statuses[0], 401)
    assert.equal(statuses.at(-1), 429)
    assert.equal((await attempt(PERSON.password)).status, 429, 'the right password must not show through')
    own.advance(10 * 60_000)
    assert.match((await attempt(PERSON.password)).url, DONE)
    await own.stop()
  })

  it('refuses a form that another site sends, and one without its cookie', async () => {
    const { browser, page } = await start()
    const action = /action="(\/interaction\/[^"]+\/login)"/.exec(page.html)?.[1]
    const cookie = [...browser.cookies].map(([key, value]) => `${key.split(' ')[2]}=${value}`).join('; ')
    const send = (headers: Record<string, string>) =>
      fetch(`${authority.issuer}${action}`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html', ...headers },
        body: new URLSearchParams(PERSON).toString(),
        redirect: 'manual',
      })
    assert.equal((await send({ cookie, origin: 'https://evil.example' })).status, 403)
    assert.equal((await send({ cookie, 'sec-fetch-site': 'cross-site' })).status, 403)
    assert.equal((await send({ origin: authority.issuer })).status, 400)
    assert.equal((await send({ cookie, origin: authority.issuer })).status, 303)
  })

  it('serves pages that no script and no frame can touch', async () => {
    const { page } = await start()
    const html = { accept: 'text/html' }
    const refused = await fetch(`${authority.issuer}/oauth/authorize?client_id=nobody`, { headers: html })
    assert.equal(refused.status, 400)
    assert.match(
      refused.headers.get('content-security-policy') ?? '',
      /default-src 'none'.*frame-ancestors 'none'/,
    )
    const response = await fetch(page.url)
    const policy = response.headers.get('content-security-policy') ?? ''
    assert.match(policy, /default-src 'none'/)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.doesNotMatch(policy, /unsafe|script-src/)
    assert.equal(response.headers.get('cache-control'), 'no-store')
    assert.doesNotMatch(page.html, /<script/)
  })
})

describe('CORS', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const PATHS = [
    '/oauth/token',
    '/oauth/revoke',
    '/oauth/userinfo',
    '/oauth/jwks',
    '/v1/revoke',
    '/v1/session',
  ]
  const DISCOVERY = ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']

  for (const path of [...PATHS, ...DISCOVERY]) {
    it(`${path}: registered origins only, never with credentials`, async () => {
      for (const [origin, allowed] of [
        ['https://app.example', 'https://app.example'],
        ['https://evil.example', null],
        ['null', null],
      ] as const) {
        const ask = {
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type',
        }
        const preflight = await fetch(authority.issuer + path, {
          method: 'OPTIONS',
          headers: { origin, ...ask },
        })
        const method = PATHS.slice(0, 2).includes(path) || path === '/v1/revoke' ? 'POST' : 'GET'
        const actual = await fetch(authority.issuer + path, { method, headers: { origin } })
        for (const response of [preflight, actual]) {
          assert.equal(
            response.headers.get('access-control-allow-origin'),
            allowed,
            `${origin} ${response.status}`,
          )
          assert.equal(response.headers.get('access-control-allow-credentials'), null)
          assert.match(response.headers.get('vary') ?? '', /origin/i)
        }
      }
    })
  }

  it('a client that has just registered is let in', async () => {
    const origin = 'https://new.example'
    const allowed = async () => {
      const response = await fetch(`${authority.issuer}/oauth/jwks`, { headers: { origin } })
      return response.headers.get('access-control-allow-origin')
    }
    assert.equal(await allowed(), null)
    const registration = { redirect_uris: [`${origin}/callback`], token_endpoint_auth_method: 'none' }
    assert.equal((await post(`${authority.issuer}/oauth/register`, registration)).status, 201)
    assert.equal(await allowed(), origin)
    await authority.restart()
    assert.equal(await allowed(), origin, 'after a restart')
  })
})
