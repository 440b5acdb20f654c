import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createBrowser, type Page, signInThrough } from '../tools/browser.ts'
import { audited, subOf } from './account.ts'
import { type GuardedApi, startGuardedApi } from './guarded-api.ts'
import { CHROME, IPHONE, sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, signIn } from './sign-in.ts'

/* `/devices`, as somebody without scripts sees it. */

describe('the page of one’s devices', () => {
  let authority: TestAuthority
  let api: GuardedApi
  before(async () => {
    authority = await startTestAuthority()
    api = await startGuardedApi(authority.issuer)
  })
  after(async () => {
    await api.close()
    await authority.stop()
  })

  const DEVICES = /\/devices(\/others)?(\?|$)/
  /** Opens a page, signing in where it is asked for. */
  async function open(browser = createBrowser(CHROME), path = '/devices'): Promise<Page> {
    const page = await browser.open(`${authority.issuer}${path}`)
    if (!/name="password"/.test(page.html)) return page
    const back = await signInThrough(browser, `${authority.issuer}${path}`, PERSON, /[?&]iss=/)
    return browser.open(back.href)
  }
  const cards = ({ html }: Page) => html.split('<li class="device">').slice(1)

  it('asks who it is for, and comes back', async () => {
    const browser = createBrowser(CHROME)
    const first = await browser.open(`${authority.issuer}/devices`)
    assert.match(first.html, /name="password"/)
    const page = await open(browser)
    assert.match(page.html, /<h1>Your devices<\/h1>/)
    assert.ok(page.html.includes(PERSON.email))
    const sessions = await authority.authority.store.read({
      ...{ kind: 'account-sessions', sub: await subOf(authority), endedSince: 0, limit: 10 },
    })
    assert.deepEqual(sessions, [], 'looking is no session of its own')
  })

  it('shows this device first, the apps on each, and what has ended with its reason', async () => {
    const browser = createBrowser(CHROME)
    const here = await signIn(authority.issuer, { browser })
    const phone = await signIn(authority.issuer, {
      browser: createBrowser(IPHONE),
      clientId: 'third-party',
    })
    const page = await open(browser)
    const [first = '', second = ''] = cards(page)
    assert.match(first, /This device/)
    assert.match(first, />app</)
    assert.match(second, /Safari on iOS/)
    assert.ok(second.includes('Somebody else’s app'))
    assert.ok(!second.includes('This device'))
    assert.doesNotMatch(page.html, new RegExp(`${sidOf(here)}|${sidOf(phone)}|<script| style=| on[a-z]+=`))
  })

  it('logs out a device: what it had open closes, and the page says who has confirmed it', async () => {
    const browser = createBrowser(CHROME)
    const page = await open(browser)
    const phone = await signIn(authority.issuer, { browser: createBrowser(IPHONE) })
    const here = await signIn(authority.issuer, { browser })
    const opened = await api.open(phone.access_token)
    const fresh = await open(browser)
    const card = cards(fresh).find((one) => /Safari on iOS/.test(one) && />app</.test(one)) as string
    const device = /name="device" value="([\w-]+)"/.exec(card)?.[1] as string
    const done = await browser.submit(fresh, /\/devices\/end$/, { device })
    assert.match(
      done.html,
      /Ended at <time datetime="20[^"]+Z">\d\d:\d\d:\d\d UTC<\/time><\/strong>, confirmed by 1 of 1 service\./,
    )
    assert.equal(await opened.socket, '4401 device_removed')
    assert.equal(await lives(authority.issuer, phone.access_token), false)
    assert.equal(await lives(authority.issuer, here.access_token), true)
    assert.match(done.html, /Logged out from another device/)
    const again = await browser.submit(fresh, /\/devices\/end$/, { device })
    assert.match(again.html, /Nothing was signed in there any more/)
    assert.ok(page.status === 200)
  })

  it('logs out everything else, when whoever asks has signed in a short while ago', async () => {
    const browser = createBrowser(CHROME)
    await open(browser)
    const here = await signIn(authority.issuer, { browser })
    const others = await Promise.all([signIn(authority.issuer), signIn(authority.issuer)])
    authority.advance(6 * 60_000)
    const asked = await browser.open(`${authority.issuer}/devices/others`)
    assert.match(asked.html, /name="password"/, 'not on an old sign-in')
    const confirm = await open(browser, '/devices/others')
    assert.match(confirm.html, /Log out all other devices\?/)
    for (const { access_token } of others) assert.equal(await lives(authority.issuer, access_token), true)
    const done = await browser.submit(confirm, /\/devices\/others$/, {})
    assert.match(done.html, /Ended at/)
    for (const { access_token } of others) assert.equal(await lives(authority.issuer, access_token), false)
    assert.equal(await lives(authority.issuer, here.access_token), true, 'this one stays')
    assert.match(done.html, /Nothing else is signed in/)
  })

  it('does not take an old page’s form for a recent sign-in', async () => {
    const browser = createBrowser(CHROME)
    const confirm = await open(browser, '/devices/others')
    const other = await signIn(authority.issuer)
    authority.advance(6 * 60_000)
    const page = await browser.submit(confirm, /\/devices\/others$/, {})
    assert.match(page.html, /name="password"/)
    assert.equal(await lives(authority.issuer, other.access_token), true)
  })

  it('renames a device, on record', async () => {
    const browser = createBrowser(CHROME)
    const page = await open(browser)
    await signIn(authority.issuer, { browser })
    const fresh = await open(browser)
    const [first = ''] = cards(fresh)
    const device = /id="name-([\w-]+)"/.exec(first)?.[1] as string
    const named = await browser.submit(fresh, /\/devices\/rename$/, { device, name: 'My <b>desk</b>' })
    assert.match(named.html, /The name is changed/)
    assert.ok(named.html.includes('My &lt;b&gt;desk&lt;/b&gt;'))
    assert.equal((await audited(authority, 'device.renamed')).length, 1)
    assert.ok(page.status === 200)
  })

  it('is of no use to another site, nor to another account', async () => {
    const browser = createBrowser(CHROME)
    await open(browser)
    const mine = await signIn(authority.issuer, { browser })
    const cookie = [...browser.cookies].map(([key, value]) => `${key.split(' ')[2]}=${value}`).join('; ')
    const send = (path: string, body: Record<string, string>, headers: Record<string, string>) =>
      fetch(authority.issuer + path, {
        ...{ method: 'POST', redirect: 'manual', headers: { cookie, ...headers } },
        body: new URLSearchParams(body),
      })
    const sub = await subOf(authority)
    const devices = await authority.authority.store.read({ kind: 'devices', sub })
    for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, {}] as Record<
      string,
      string
    >[]) {
      for (const path of ['/devices/end', '/devices/others', '/devices/rename'])
        for (const { id } of devices)
          assert.equal((await send(path, { device: id, name: 'x' }, headers)).status, 403, path)
    }
    assert.equal(await lives(authority.issuer, mine.access_token), true)
    const own = { origin: authority.issuer }
    assert.equal((await send('/devices/end', { device: 'somebody-elses' }, own)).status, 404)
    assert.equal((await send('/devices/end', { session: 'somebody-elses' }, own)).status, 404)
    const nobody = await fetch(`${authority.issuer}/devices/end`, {
      ...{ method: 'POST', redirect: 'manual', headers: own, body: new URLSearchParams({ device: 'x' }) },
    })
    assert.equal(nobody.status, 303)
  })

  it('says nothing that somebody else has put into its address', async () => {
    const browser = createBrowser(CHROME)
    await open(browser)
    const forged = Buffer.from(JSON.stringify({ what: 'ended', at: Date.now() })).toString('base64url')
    for (const told of [forged, 'x', 'A'.repeat(2_000)])
      assert.doesNotMatch(
        (await browser.open(`${authority.issuer}/devices?told=${told}`)).html,
        /role="status"/,
      )
  })

  it('is shut once a session of this browser has ended, or its sign-in was called off', async () => {
    const browser = createBrowser(CHROME)
    await open(browser)
    const tokens = await signIn(authority.issuer, { browser })
    const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
    const { post } = await import('./sign-in.ts')
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    const page = await browser.open(`${authority.issuer}/devices`)
    assert.match(page.html, /name="password"/)
    assert.ok(DEVICES.test('/devices'))
  })
})
