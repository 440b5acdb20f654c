import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { endedPageUrl } from '../packages/authority/src/ended-code.ts'
import { type Browser, createBrowser, type Page, signInThrough } from '../tools/browser.ts'
import { audited, mailedCode, sendForm, subOf } from './account.ts'
import { type GuardedApi, startGuardedApi } from './guarded-api.ts'
import { CHROME, IPHONE, sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, lives, post, signIn } from './sign-in.ts'

/* What people meet on their way: why they are asked again, what is told of what they did, and where to go from there. */

const OPS = { email: 'ops@example.com', password: 'a password of Ops', name: 'Ops' }
const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
const ENDED =
  /Ended at <time datetime="20[^"]+Z">\d\d:\d\d:\d\d UTC<\/time><\/strong>, confirmed by 1 of 1 service\./

describe('the ways through the pages', () => {
  let authority: TestAuthority
  let api: GuardedApi
  before(async () => {
    authority = await startTestAuthority({
      admins: [OPS.email],
      logLevel: 'silent',
      name: 'Example accounts',
    })
    const { store, now } = authority.authority
    for (const person of [OPS, BOB]) await addAccount(store, person, 'test', now())
    api = await startGuardedApi(authority.issuer)
  })
  after(async () => {
    await api.close()
    await authority.stop()
  })

  async function signedIn(path: string, person = PERSON): Promise<{ browser: Browser; page: Page }> {
    const browser = createBrowser(CHROME)
    const back = await signInThrough(browser, authority.issuer + path, person, /[?&]iss=/)
    return { browser, page: await browser.open(back.href) }
  }
  const typedIn = ({ html }: Page, id: string) =>
    new RegExp(`<input id="${id}"[^>]* value="([^"]*)"`).exec(html)?.[1]
  const DONE = /^https:\/\/app\.example\//
  const again = (browser: Browser, params: Record<string, string>) => {
    const url = new URL(authorizationRequest(authority.issuer).url)
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
    return browser.open(url.href, DONE)
  }

  it('a step-up says why, whose password is meant, and goes on where it was asked for', async () => {
    const { browser } = await signedIn('/devices')
    authority.advance(6 * 60_000)
    const asked = await browser.open(`${authority.issuer}/devices/others`)
    assert.match(asked.html, /<h1>Show that it is you<\/h1>/)
    assert.match(asked.html, /asked for once more/)
    assert.equal(typedIn(asked, 'email'), PERSON.email)
    const wrong = await browser.submit(asked, /\/login$/, { email: PERSON.email, password: 'not this one' })
    assert.equal(wrong.status, 401)
    assert.match(wrong.html, /asked for once more/, 'after an error, too')
    const on = await browser.submit(wrong, /\/login$/, PERSON)
    assert.match(on.html, /<h1>Log out all other devices\?<\/h1>/)
    const asks: Record<string, string>[] = [{ max_age: '100' }, { acr_values: 'urn:rescind:acr:password' }]
    for (const params of asks) {
      authority.advance(6 * 60_000)
      assert.match((await again(browser, params)).html, /Show that it is you/)
    }
    assert.match((await again(browser, { prompt: 'login' })).html, /asked to sign in again/)
  })

  it('who was signed out here is not named to whoever comes next', async () => {
    const { browser } = await signedIn('/devices')
    const tokens = await signIn(authority.issuer, { browser })
    const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    const asked = await browser.open(`${authority.issuer}/devices`)
    assert.match(asked.html, /was ended/)
    assert.ok(!asked.html.includes(PERSON.email))
  })

  it('signing in where another account is signed in is asked about first, without a script', async () => {
    const { browser } = await signedIn('/devices')
    const mine = await signIn(authority.issuer, { browser })
    const page = await again(browser, { prompt: 'login' })
    const asked = await browser.submit(page, /\/login$/, BOB, DONE)
    assert.match(asked.html, /<h1>Sign in as somebody else\?<\/h1>/)
    assert.doesNotMatch(asked.html, /<script/)
    assert.equal(await lives(authority.issuer, mine.access_token), true, 'nothing has ended yet')
    const kept = await browser.open(`${authority.issuer}/devices`)
    assert.ok(kept.html.includes(PERSON.email), 'the other one is kept')
    const on = await browser.submit(asked, /\/logout\/confirm$/, {}, DONE)
    assert.match(on.url, /^https:\/\/app\.example\/callback\?code=/)
    assert.equal(await lives(authority.issuer, mine.access_token), false)
    const session = await authority.authority.store.read({ kind: 'session', sid: sidOf(mine) })
    assert.equal(session?.ended?.reason, 'account_switch')
    assert.ok((await browser.open(`${authority.issuer}/devices`)).html.includes(BOB.email))
  })

  it('whoever logs out the device that they are on is told what ended, and how to come back', async () => {
    const { browser } = await signedIn('/devices')
    const tokens = await signIn(authority.issuer, { browser })
    const page = await browser.open(`${authority.issuer}/devices`)
    const [, card = ''] = page.html.split('<li class="device">')
    assert.match(card, /This device/)
    const device = /name="device" value="([\w-]+)"/.exec(card)?.[1] ?? ''
    const left = await browser.submit(page, /\/devices\/end$/, { device })
    assert.match(left.html, /<h1>You are signed out here<\/h1>/)
    assert.match(left.html, ENDED)
    assert.match(left.html, /<a href="\/devices">Sign in again<\/a>/)
    assert.ok(!left.html.includes(PERSON.email))
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    assert.equal(await api.ask(tokens.access_token), 401)
    const session = await authority.authority.store.read({ kind: 'session', sid: sidOf(tokens) })
    assert.equal(session?.ended?.reason, 'user_logout')
    assert.match((await browser.open(`${authority.issuer}/devices`)).html, /name="password"/)
  })

  it('“this wasn’t me” is asked of the person whose session it was, also where somebody else is signed in', async () => {
    const phone = await signIn(authority.issuer, { browser: createBrowser(IPHONE), person: BOB })
    const pair = { accessToken: phone.access_token, refreshToken: phone.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    const { browser } = await signedIn('/devices')
    const page = await browser.open(endedPageUrl(authority.authority, sidOf(phone)))
    assert.match(page.html, /You logged out\./)
    assert.ok(page.html.includes(PERSON.email), 'who is signed in is told that it is about somebody else')
    for (const word of [BOB.email, 'iOS', '127.0.0.1']) assert.ok(!page.html.includes(word), word)
    const code = new URL(page.url).searchParams.get('code') ?? ''
    const asked = await browser.open(`${authority.issuer}/signed-out/sign-in?code=${code}`)
    assert.match(asked.html, /name="password"/)
    const other = await browser.submit(asked, /\/login$/, BOB)
    const back = await browser.submit(other, /\/logout\/confirm$/, {})
    assert.ok(back.html.includes(BOB.email) && back.html.includes('Safari on iOS'))
    assert.match(back.html, /Ended from<\/dt><dd><bdi class="given">127\.0\.0\.1/)
    const done = await browser.submit(back, /\/not-me$/, { code })
    assert.match(done.html, /Everything is signed out/)
    const sub = await subOf(authority, BOB.email)
    assert.equal((await authority.authority.store.read({ kind: 'account-by-sub', sub }))?.resetRequired, true)
  })

  it('a reset tells when it ended what, and which services have confirmed it', async () => {
    const sub = await subOf(authority, BOB.email)
    const code = await mailedCode(authority, { purpose: 'reset', sub })
    const browser = createBrowser()
    const page = await browser.open(`${authority.issuer}/reset?code=${code}`)
    const none = await browser.submit(page, /\/reset$/, { newPassword: BOB.password })
    assert.match(none.html, /Nothing was signed in there any more/)
    const tokens = await signIn(authority.issuer, { person: BOB })
    const next = await mailedCode(authority, { purpose: 'reset', sub })
    const again = await browser.open(`${authority.issuer}/reset?code=${next}`)
    const done = await browser.submit(again, /\/reset$/, { newPassword: BOB.password })
    assert.match(done.html, ENDED)
    assert.equal(await api.ask(tokens.access_token), 401)
    const used = await browser.open(`${authority.issuer}/reset?code=${next}`)
    assert.match(used.html, /<a href="\/forgot">Ask for another link<\/a>/)
  })

  it('an administrator who had to sign in again comes back to the page of the form, and is told that it did nothing', async () => {
    const { browser } = await signedIn('/admin', OPS)
    const tokens = await signIn(authority.issuer)
    const sub = await subOf(authority)
    const page = await browser.open(`${authority.issuer}/admin/accounts/${sub}`)
    authority.advance(6 * 60_000)
    const form = { what: 'all', reason: 'they called us' }
    for (const [path, where] of [
      [`/admin/accounts/${sub}/end`, `/admin/accounts/${sub}`],
      [`/admin/accounts/${sub}/deactivate`, `/admin/accounts/${sub}`],
    ] as const) {
      authority.advance(6 * 60_000)
      const asked = await browser.submit(page, new RegExp(`${path}$`), form)
      assert.match(asked.html, /Show that it is you/)
      const back = await browser.submit(asked, /\/login$/, OPS)
      assert.equal(new URL(back.url).pathname, where)
      assert.match(back.html, /Nothing was done yet/)
    }
    const session = await authority.authority.store.read({ kind: 'session', sid: sidOf(tokens) })
    assert.equal(session?.ended, undefined)
    await signIn(authority.issuer)
    const done = await browser.submit(page, /\/end$/, form)
    assert.match(done.html, ENDED)
  })

  it('what was wrong with a form of the console is told on its page, with what was typed', async () => {
    const { browser } = await signedIn('/admin', OPS)
    await signIn(authority.issuer)
    const page = await browser.open(`${authority.issuer}/admin/accounts/${await subOf(authority)}`)
    const none = await browser.submit(page, /\/end$/, { what: 'some', reason: 'they called us' })
    assert.equal(none.status, 400)
    assert.match(none.html, /role="alert">Mark at least one session\./)
    assert.equal(typedIn(none, 'end-reason')?.includes('they called us'), true)
    const short = await browser.submit(page, /\/compromise$/, { reason: 'no' })
    assert.match(short.html, /role="alert">Say why/)
    const audit = await browser.open(`${authority.issuer}/admin/audit?since=yesterday&client=app`)
    assert.deepEqual([audit.status, typedIn(audit, 'f-client')], [400, 'app'])
    assert.match(audit.html, /role="alert">`since` must be/)
    assert.match(
      (await browser.open(`${authority.issuer}/admin/audit?reason=admin_forced`)).html,
      /<option value="admin_forced" selected>/,
    )
  })

  it('an administrator who ends their own sign-in with all the others sees what they ended', async () => {
    const { browser } = await signedIn('/admin', OPS)
    const own = await signIn(authority.issuer, { browser, person: OPS })
    const sub = await subOf(authority, OPS.email)
    const page = await browser.open(`${authority.issuer}/admin/accounts/${sub}`)
    const left = await browser.submit(page, /\/end$/, { what: 'all', reason: 'I was hacked myself' })
    assert.match(left.html, /You are signed out here/)
    assert.match(left.html, ENDED)
    assert.match(left.html, /<a href="\/admin">Sign in again<\/a>/)
    assert.equal(await lives(authority.issuer, own.access_token), false)
  })

  it('has no button for a mass revocation that would end nothing', async () => {
    const { browser } = await signedIn('/admin', OPS)
    const page = await browser.open(`${authority.issuer}/admin/end`)
    const nothing = { client: 'short-app', before: '', reason: 'to be sure' }
    const counted = await browser.submit(page, /\/admin\/end$/, nothing)
    assert.match(counted.html, /Nothing would end/)
    assert.doesNotMatch(counted.html, /name="confirmed"/)
  })

  it('an account’s page bounds what happened, and leads to all of it', async () => {
    const { store, now } = authority.authority
    const sub = await subOf(authority)
    const at = now()
    const record = { event: 'signin.failed' as const, at, actor: 'anonymous', sub, address: '203.0.113.9' }
    await store.transact({ kind: 'write', records: [], audit: Array(150).fill(record), at })
    const { browser } = await signedIn('/admin', OPS)
    const page = await browser.open(`${authority.issuer}/admin/accounts/${sub}`)
    const rows = page.html.split('aria-label="Activity"')[1]?.match(/<tr><td>/g) ?? []
    assert.equal(rows.length, 100)
    assert.match(page.html, new RegExp(`These are the newest 100\\. <a href="/admin/audit\\?sub=${sub}">`))
    assert.ok(page.html.indexOf('Force a new password') < page.html.indexOf('Sign-ins of the last'))
  })

  it('every page says whose it is, also where something went wrong', async () => {
    const html = { accept: 'text/html' }
    for (const path of [
      '/',
      '/forgot',
      '/signed-out',
      '/reset?code=x',
      '/nothing',
      '/devices/end',
      '/oauth/authorize?client_id=x',
    ]) {
      const text = await (await fetch(authority.issuer + path, { headers: html })).text()
      assert.match(text, /<title>[^<]+ · Example accounts<\/title>/, path)
      assert.match(text, /<a href="\/devices"/, path)
    }
  })

  it('where no mail is sent, a forgotten password is not promised one', async () => {
    const page = await createBrowser().open(`${authority.issuer}/forgot`)
    assert.match(page.html, /No mail is sent from here/)
    assert.doesNotMatch(page.html, /<form/)
    const before = await audited(authority, 'account.reset_requested')
    const answer = await sendForm(`${authority.issuer}/forgot`, { email: PERSON.email })
    assert.match(await answer.text(), /No mail is sent from here/)
    assert.equal((await audited(authority, 'account.reset_requested')).length, before.length)
  })

  it('a page that is asked for too often is refused with a page', async () => {
    const own = await startTestAuthority({ logLevel: 'silent' })
    try {
      let answer = new Response()
      for (let n = 0; n < 2_000 && answer.status !== 429; n++)
        answer = await fetch(`${own.issuer}/oauth/authorize?client_id=x`, {
          headers: { accept: 'text/html' },
        })
      assert.equal(answer.status, 429)
      assert.match(`${answer.headers.get('content-type')}`, /^text\/html/)
      assert.ok(Number(answer.headers.get('retry-after')) > 0)
      let json = new Response()
      for (let n = 0; n < 20 && json.status !== 429; n++)
        json = await fetch(`${own.issuer}/oauth/authorize?client_id=x`)
      assert.equal(json.status, 429)
      assert.match(`${json.headers.get('content-type')}`, /json/)
    } finally {
      await own.stop()
    }
  })
})
