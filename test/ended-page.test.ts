import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { endedPageUrl } from '../packages/authority/src/ended-code.ts'
import { createBrowser, type Page, signInThrough } from '../tools/browser.ts'
import { audited, subOf } from './account.ts'
import { listenTo } from './events-client.ts'
import { ask, CHROME, IPHONE, sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, signIn, type Tokens } from './sign-in.ts'

/* Why somebody was signed out: what an app is told, and the page that it sends them to. */

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }

describe('a session that ended', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
    await addAccount(authority.authority.store, BOB, 'test', Date.now())
  })
  after(() => authority.stop())

  const why = async (ticket: unknown) => {
    const response = await post(`${authority.issuer}/v1/ended`, { ticket })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  /** A session on a phone that the same person ends from elsewhere, and the page that tells why. */
  async function endedElsewhere(person = PERSON): Promise<{ phone: Tokens; page: string }> {
    const phone = await signIn(authority.issuer, { browser: createBrowser(IPHONE), person })
    const desk = await signIn(authority.issuer, { browser: createBrowser(CHROME), person })
    assert.equal((await ask(authority.issuer, desk, `DELETE /v1/sessions/${sidOf(phone)}`)).status, 200)
    return { phone, page: `${(await why(phone.logout_ticket)).body.page}` }
  }
  async function signedIn(
    url: string,
    person = PERSON,
  ): Promise<{ page: Page; browser: ReturnType<typeof createBrowser> }> {
    const browser = createBrowser(CHROME)
    const back = await signInThrough(browser, url, person, /[?&]iss=/)
    return { page: await browser.open(back.href), browser }
  }
  const PERSONAL = [PERSON.email, PERSON.name, 'Safari on iOS', '127.0.0.1', 'third-party', '>app<']

  it('tells the holder of its ticket why, when, and where to send the person', async () => {
    const tokens = await signIn(authority.issuer)
    assert.deepEqual(await why(tokens.logout_ticket), { status: 200, body: { ended: false } })
    const { phone } = await endedElsewhere()
    const { status, body } = await why(phone.logout_ticket)
    assert.deepEqual([status, body.ended, body.reason], [200, true, 'device_removed'])
    assert.ok(Math.abs(Date.parse(`${body.at}`) - Date.now()) < 60_000)
    assert.match(`${body.page}`, new RegExp(`^${authority.issuer}/signed-out\\?code=[\\w-]+$`))
    for (const ticket of ['nonsense', phone.refresh_token, phone.access_token, `${phone.logout_ticket}x`])
      assert.deepEqual([(await why(ticket)).status, (await why(ticket)).body.code], [400, 'INVALID_TOKEN'])
    for (const ticket of [undefined, 7, '']) assert.equal((await why(ticket)).body.code, 'VALIDATION_ERROR')
  })

  it('tells it to its own stream as well', async () => {
    const tokens = await signIn(authority.issuer)
    const events = await listenTo(authority.issuer, tokens.access_token)
    const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    await events.over
    const page = await createBrowser().open(`${events.heard.at(-1)?.data.page}`)
    assert.match(page.html, /You logged out\./)
  })

  it('has a page that says why and when, and nothing of whose it was', async () => {
    const { page: url } = await endedElsewhere()
    const page = await createBrowser().open(url)
    assert.equal(page.status, 200)
    assert.match(page.html, /This device was logged out from another one\./)
    assert.match(page.html, /<time datetime="20/)
    for (const word of PERSONAL) assert.ok(!page.html.includes(word), word)
  })

  it('says more to the person, once they are signed in, and to nobody else', async () => {
    const { page: url } = await endedElsewhere()
    const own = await signedIn(`${authority.issuer}/devices`)
    const theirs = await own.browser.open(url)
    for (const word of [PERSON.email, 'Safari on iOS', '127.0.0.1'])
      assert.ok(theirs.html.includes(word), word)
    const stranger = await signedIn(`${authority.issuer}/devices`, BOB)
    const seen = await stranger.browser.open(url)
    for (const word of PERSONAL) assert.ok(!seen.html.includes(word), word)
  })

  it('lets the person say that it was not them: everything ends, and the password opens nothing', async () => {
    const { page: url } = await endedElsewhere()
    const code = new URL(url).searchParams.get('code') ?? ''
    const other = await signIn(authority.issuer)
    const { page, browser } = await signedIn(`${authority.issuer}/signed-out/sign-in?code=${code}`)
    assert.ok(page.html.includes(PERSON.email), 'back on the page, which knows them now')
    const done = await browser.submit(page, /\/signed-out\/not-me$/, { code })
    assert.match(done.html, /Everything is signed out/)
    assert.equal(await lives(authority.issuer, other.access_token), false)
    const [record] = await audited(authority, 'account.compromised', await subOf(authority))
    assert.match(`${record?.detail}`, /its owner says so/)
    await assert.rejects(signIn(authority.issuer), /did not return/)
  })

  it('does not let anybody else say so, nor an old sign-in, nor another site', async () => {
    const { page: url, phone } = await endedElsewhere(BOB)
    const code = new URL(url).searchParams.get('code') ?? ''
    const eve = { email: 'eve@example.com', password: 'a password of Eve', name: 'Eve' }
    await addAccount(authority.authority.store, eve, 'test', Date.now())
    const other = await signIn(authority.issuer, { person: BOB })
    const send = (cookies: Map<string, string>, headers: Record<string, string>) =>
      fetch(`${authority.issuer}/signed-out/not-me`, {
        ...{ method: 'POST', redirect: 'manual', body: new URLSearchParams({ code }) },
        headers: {
          cookie: [...cookies].map(([key, value]) => `${key.split(' ')[2]}=${value}`).join('; '),
          ...headers,
        },
      })
    const own = { origin: authority.issuer }
    const stranger = await signedIn(`${authority.issuer}/devices`, eve)
    assert.equal((await send(stranger.browser.cookies, own)).status, 303, 'it asks who is there')
    assert.equal((await send(new Map(), own)).status, 303)
    const bob = await signedIn(`${authority.issuer}/devices`, BOB)
    for (const headers of [{}, { origin: 'https://evil.example' }] as Record<string, string>[])
      assert.equal((await send(bob.browser.cookies, headers)).status, 403)
    authority.advance(6 * 60_000)
    assert.equal((await send(bob.browser.cookies, own)).status, 303, 'not on an old sign-in')
    assert.equal(await lives(authority.issuer, other.access_token), true)
    assert.ok(phone.logout_ticket)
  })

  it('has no page for a code that is forged, too old, or of a session that lives', async () => {
    const { page: url } = await endedElsewhere(BOB)
    const live = await signIn(authority.issuer, { person: BOB })
    const forged = Buffer.from(JSON.stringify({ sid: 'x', until: Date.now() * 2 })).toString('base64url')
    const urls = [
      `${authority.issuer}/signed-out`,
      `${authority.issuer}/signed-out?code=${forged}`,
      `${authority.issuer}/signed-out?code=${'A'.repeat(600)}`,
      endedPageUrl(authority.authority, sidOf(live)),
    ]
    for (const one of urls) assert.equal((await createBrowser().open(one)).status, 410, one)
    assert.equal((await createBrowser().open(url)).status, 200)
    authority.advance(16 * 60_000)
    const old = await createBrowser().open(url)
    assert.equal(old.status, 410)
    assert.match(old.html, /quarter of an hour/)
  })
})
