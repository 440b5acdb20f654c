import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { endedPageUrl } from '../packages/authority/src/ended-code.ts'
import { type Browser, createBrowser, type Page, signInThrough } from '../tools/browser.ts'
import { sendForm, subOf } from './account.ts'
import { CHROME, IPHONE, sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, lives, post, signIn } from './sign-in.ts'

/* The pages under attack: what they say, for whom, and what a form does that somebody else has sent. */

const OPS = { email: 'ops@example.com', password: 'a password of Ops', name: 'Ops' }
const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
const TAG = '<img src=x onerror=alert(1)>'
const MARKUP = `${TAG}\u202e`
const HEADERS: [string, RegExp][] = [
  ['content-security-policy', /^default-src 'none'; (?!.*unsafe).*frame-ancestors 'none'; base-uri 'none'/],
  ['cache-control', /^no-store$/],
  ['x-content-type-options', /^nosniff$/],
  ['referrer-policy', /^same-origin$/],
]

describe('the pages under attack', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority({ admins: [OPS.email], logLevel: 'silent' })
    const { store, now } = authority.authority
    for (const person of [OPS, BOB]) await addAccount(store, person, 'test', now())
  })
  after(() => authority.stop())

  const cookieOf = ({ cookies }: Browser) =>
    [...cookies].map(([key, value]) => `${key.split(' ')[2]}=${value}`).join('; ')
  /** A browser that is signed in to the pages, on the page that was asked for. */
  async function signedIn(
    path: string,
    person = PERSON,
    userAgent = CHROME,
  ): Promise<{ browser: Browser; page: Page }> {
    const browser = createBrowser(userAgent)
    const back = await signInThrough(browser, authority.issuer + path, person, /[?&]iss=/)
    return { browser, page: await browser.open(back.href) }
  }
  const send = (browser: Browser, path: string, fields: Record<string, string>, headers = {}) =>
    sendForm(authority.issuer + path, fields, {
      ...{ cookie: cookieOf(browser), origin: authority.issuer },
      ...headers,
    })

  it('each answer that people see is kept by no cache, framed by nobody, and runs nothing', async () => {
    const { browser } = await signedIn('/admin', OPS)
    const sub = await subOf(authority, OPS.email)
    const { url } = authorizationRequest(authority.issuer)
    const pages = [
      ...['/', '/forgot', '/reset?code=x', '/not-me?code=x', '/signed-out', '/oauth/code?code=x', '/nothing'],
      ...['/devices', '/devices/others', '/devices/end', '/oauth/logout', '/interaction/none'],
      ...['/admin', `/admin/accounts/${sub}`, '/admin/accounts?who=nobody', '/admin/clients', '/admin/audit'],
      ...['/admin/services', '/admin/deliveries', '/admin/end', '/admin/audit?since=yesterday'],
      ...['/oauth/authorize?client_id=nobody', url.replace(authority.issuer, '')],
    ]
    for (const path of pages) {
      const headers = { cookie: cookieOf(browser), accept: 'text/html' }
      const answer = await fetch(authority.issuer + path, { headers, redirect: 'manual' })
      if (answer.status === 303) {
        assert.match(`${answer.headers.get('cache-control')}`, /no-store/, path)
        continue
      }
      assert.match(`${answer.headers.get('content-type')}`, /^text\/html/, path)
      for (const [name, value] of HEADERS)
        assert.match(`${answer.headers.get(name)}`, value, `${name} of ${path}`)
    }
  })

  it('a form counts only from a page of ours: not from another origin, not from one that does not say', async () => {
    const ops = await signedIn('/admin', OPS)
    const ann = await signedIn('/devices')
    const tokens = await signIn(authority.issuer)
    const sub = await subOf(authority)
    const ended = await signIn(authority.issuer, { browser: createBrowser(IPHONE) })
    const pair = { accessToken: ended.access_token, refreshToken: ended.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    const code = new URL(endedPageUrl(authority.authority, sidOf(ended))).searchParams.get('code') ?? ''
    const device = { device: 'x', name: 'x', code }
    const reason = { reason: 'because I can', what: 'all', confirmed: 'yes' }
    const forms: [Browser, string, Record<string, string>][] = [
      ...['/devices/end', '/devices/others', '/devices/rename', '/signed-out/not-me'].map(
        (path): [Browser, string, Record<string, string>] => [ann.browser, path, device],
      ),
      ...['end', 'compromise', 'deactivate', 'reactivate', 'reviewed'].map(
        (deed): [Browser, string, Record<string, string>] => [
          ops.browser,
          `/admin/accounts/${sub}/${deed}`,
          reason,
        ],
      ),
      [ops.browser, '/admin/end', reason],
      [ops.browser, '/admin/deliveries/replay', {}],
    ]
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: authority.issuer.replace(/\d+$/, '1') },
      { origin: authority.issuer, 'sec-fetch-site': 'same-site' },
      { origin: authority.issuer, 'sec-fetch-site': 'cross-site' },
    ]
    for (const [browser, path, fields] of forms) {
      for (const headers of foreign)
        assert.equal((await send(browser, path, fields, headers)).status, 403, `${path} ${headers.origin}`)
      const silent = { cookie: cookieOf(browser) }
      assert.equal((await sendForm(authority.issuer + path, fields, silent)).status, 403, path)
    }
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    assert.equal(
      (await authority.authority.store.read({ kind: 'account-by-sub', sub }))?.resetRequired,
      undefined,
    )
  })

  it('markup stays text wherever it comes from: user agents, names, apps, reasons, filters, hints', async () => {
    const registration = {
      client_name: MARKUP,
      redirect_uris: ['https://evil.example/callback'],
      token_endpoint_auth_method: 'none',
    }
    const registered = await post(`${authority.issuer}/oauth/register`, registration)
    const { client_id: clientId } = (await registered.json()) as { client_id: string }
    const url = new URL(authorizationRequest(authority.issuer, { clientId }).url)
    url.searchParams.set('redirect_uri', 'https://evil.example/callback')
    url.searchParams.set('login_hint', `"${MARKUP}`)
    const hinted = createBrowser(`${TAG}/1.0 (${TAG}) Chrome/126 ${TAG}`)
    const first = await hinted.open(url.href)
    const asked = await hinted.submit(first, /\/login$/, PERSON)
    await signIn(authority.issuer, { browser: hinted })
    const devices = await hinted.open(`${authority.issuer}/devices`)
    const device = /name="device" value="([\w-]+)"/.exec(devices.html)?.[1] ?? ''
    const renamed = await hinted.submit(devices, /\/devices\/rename$/, { device, name: MARKUP })
    const ops = await signedIn('/admin', OPS)
    const sub = await subOf(authority)
    const account = await ops.browser.open(`${authority.issuer}/admin/accounts/${sub}`)
    const one = (await signIn(authority.issuer)) as { access_token: string }
    const ended = await ops.browser.submit(account, /\/end$/, {
      ...{ what: 'some', reason: MARKUP, [`session-${sidOf(one)}`]: 'yes' },
    })
    const at = (path: string) => ops.browser.open(`${authority.issuer}${path}`)
    const text = encodeURIComponent(`"${MARKUP}`)
    const pages = [
      ...[first, asked, devices, renamed, ended],
      ...[await at(`/admin/accounts/${sub}`), await at('/admin/clients'), await at('/admin/audit')],
      ...[
        await at(`/admin/audit?reason=${text}&event=${text}&client=${text}`),
        await at(`/admin/end?client=${text}`),
      ],
      ...[
        await at(`/admin/accounts?who=${text}`),
        await at(`/oauth/code?error=${text}&error_description=${text}`),
      ],
    ]
    assert.ok(asked.html.includes('&lt;img'), 'the name of the app is shown')
    assert.ok(renamed.html.includes('&lt;img'), 'the name of the device is shown')
    assert.ok((await at('/admin/audit')).html.includes('&lt;img'), 'the reason is shown')
    for (const { url: where, html, status } of pages) {
      assert.ok(status < 500, where)
      assert.doesNotMatch(html, /<img src=x|\son\w+=(?!alert\(1\)&gt;)|<script/i, where)
      assert.doesNotMatch(html, /[\u202a-\u202e\u2066-\u2069]/, where)
    }
  })

  it('nobody is led astray: no address of ours sends the browser to another site', async () => {
    const { browser } = await signedIn('/admin', OPS)
    const elsewhere = ['//evil.example', 'https://evil.example', '/\\evil.example', 'GET //evil.example']
    const states = [...elsewhere, 'POST /admin//evil.example', 'GET /admin/../oauth/logout', 'GET /devices']
    const headers = { cookie: cookieOf(browser), accept: 'text/html' }
    const stays = async (path: string) => {
      const answer = await fetch(authority.issuer + path, { headers, redirect: 'manual' })
      const to = answer.headers.get('location')
      if (to) assert.equal(new URL(to, authority.issuer).origin, authority.issuer, path)
      return answer
    }
    for (const state of states)
      assert.equal((await stays(`/admin?state=${encodeURIComponent(state)}`)).status, 200, state)
    for (const to of elsewhere) {
      const value = encodeURIComponent(to)
      for (const name of ['state', 'code', 'told', 'next', 'redirect_uri', 'return_to'])
        for (const path of ['/devices', '/devices/others', '/signed-out', '/signed-out/sign-in', '/forgot'])
          await stays(`${path}?${name}=${value}`)
      const query = `client_id=rescind-pages&response_type=none&scope=openid&redirect_uri=${value}`
      assert.equal((await stays(`/oauth/authorize?${query}`)).status, 400)
    }
  })

  it('a code of /signed-out is good for its session and its quarter of an hour, whole', async () => {
    const phone = await signIn(authority.issuer, { browser: createBrowser(IPHONE), person: BOB })
    const pair = { accessToken: phone.access_token, refreshToken: phone.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    const code = new URL(endedPageUrl(authority.authority, sidOf(phone))).searchParams.get('code') ?? ''
    const open = async (given: string) =>
      (await createBrowser().open(`${authority.issuer}/signed-out?code=${encodeURIComponent(given)}`)).status
    assert.equal(await open(code), 200)
    for (let place = 0; place < code.length - 1; place += 7) {
      const other = code[place] === 'A' ? 'B' : 'A'
      assert.equal(await open(code.slice(0, place) + other + code.slice(place + 1)), 410, `place ${place}`)
    }
    for (const given of [code.slice(0, -4), code.slice(4), `${code}${code}`])
      assert.equal(await open(given), 410)
    // What is sealed for another purpose is no code, and a code tells nothing elsewhere.
    const { browser, page } = await signedIn('/devices', BOB)
    await signIn(authority.issuer, { browser, person: BOB })
    const own = await browser.open(page.url)
    const device = /name="device" value="([\w-]+)"/.exec(own.html)?.[1] ?? ''
    const renamed = await browser.submit(own, /\/rename$/, { device, name: 'mine' })
    const told = new URL(renamed.url).searchParams.get('told') ?? ''
    assert.match(renamed.html, /The name is changed/)
    assert.equal(await open(told), 410)
    const misused = await browser.open(`${authority.issuer}/devices?told=${code}`)
    assert.doesNotMatch(misused.html, /role="status"/)
    // "This wasn't me", twice with one code: the second time the password opens nothing any more.
    const yes = await send(browser, '/signed-out/not-me', { code })
    assert.deepEqual([yes.status, /Everything is signed out/.test(await yes.text())], [200, true])
    assert.equal((await send(browser, '/signed-out/not-me', { code })).status, 303)
    authority.advance(16 * 60_000)
    assert.equal(await open(code), 410)
    assert.equal((await send(browser, '/signed-out/not-me', { code })).status, 410)
  })

  it('what was done is told to whoever did it, for a minute', async () => {
    const { browser } = await signedIn('/devices')
    const tokens = await signIn(authority.issuer, { browser })
    assert.ok(tokens)
    const page = await browser.open(`${authority.issuer}/devices`)
    const device = /name="device" value="([\w-]+)"/.exec(page.html)?.[1] ?? ''
    const done = await browser.submit(page, /\/rename$/, { device, name: 'mine' })
    const stranger = await signedIn('/admin', OPS)
    const seen = await stranger.browser.open(done.url)
    assert.doesNotMatch(seen.html, /The name is changed/)
    authority.advance(61_000)
    assert.doesNotMatch((await browser.open(done.url)).html, /The name is changed/)
  })

  it('an open form is of no use to an administrator who is one no more', async () => {
    const { store, now } = authority.authority
    const { browser } = await signedIn('/admin', OPS)
    const tokens = await signIn(authority.issuer)
    const path = `/admin/accounts/${await subOf(authority)}/end`
    const form = { what: 'all', reason: 'because I could' }
    const ops = await subOf(authority, OPS.email)
    const change = (account: Record<string, unknown>) =>
      store.transact({
        ...{ kind: 'change-account', at: now(), account: { sub: ops, ...account } },
        audit: [{ event: 'account.email_changed', at: now(), actor: 'test', sub: ops }],
      } as never)
    await change({ email: 'former-ops@example.com' })
    for (const to of [path, '/admin/end', '/admin/deliveries/replay'])
      assert.equal((await send(browser, to, { ...form, confirmed: 'yes' })).status, 403, to)
    assert.equal((await browser.open(`${authority.issuer}/admin/audit`)).status, 403)
    await change({ email: OPS.email, deactivatedAt: now() })
    assert.equal((await send(browser, path, form)).status, 303, 'to the sign-in, which is closed to them')
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    await change({ deactivatedAt: null })
    assert.equal((await send(browser, path, form)).status, 303)
    assert.equal(
      await lives(authority.issuer, tokens.access_token),
      false,
      'and when they are one again it counts',
    )
  })

  it('no form of what matters counts on an old sign-in, and the clock is ours', async () => {
    const ann = await signedIn('/devices')
    const ops = await signedIn('/admin', OPS)
    const tokens = await signIn(authority.issuer)
    authority.advance(6 * 60_000)
    const form = { what: 'all', reason: 'because I can', confirmed: 'yes' }
    const sub = await subOf(authority)
    for (const [browser, path] of [
      [ann.browser, '/devices/others'],
      [ops.browser, `/admin/accounts/${sub}/end`],
      [ops.browser, `/admin/accounts/${sub}/compromise`],
      [ops.browser, '/admin/end'],
    ] as const) {
      const answer = await send(browser, path, form, { date: new Date(0).toUTCString() })
      assert.equal(answer.status, 303, path)
      assert.match(`${answer.headers.get('location')}`, /\/oauth\/authorize\?.*max_age=300/, path)
      // To come back from a sign-in that never was changes nothing.
      const back = `${authority.issuer}${path.startsWith('/admin') ? '/admin' : '/devices/others'}?state=x&iss=y`
      const page = await browser.open(back)
      assert.ok(page.status === 200)
    }
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
  })
})
