import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { type Browser, createBrowser } from '../tools/browser.ts'
import { createRelyingParty, DONE, type RelyingParty } from './relying-party.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { lives } from './sign-in.ts'

/* What one browser signed in to, and whether ending it ends all of it. */

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }

describe('the sessions of one browser', () => {
  let authority: TestAuthority
  let app: RelyingParty
  before(async () => {
    authority = await startTestAuthority()
    await addAccount(authority.authority.store, BOB, 'test', Date.now())
    app = await createRelyingParty(authority.issuer)
  })
  after(() => authority.stop())

  const alive = (tokens: { access_token: string }) => lives(authority.issuer, tokens.access_token)
  async function signOut(browser: Browser, answer: Record<string, string>, hint?: string) {
    const url = `${app.as.end_session_endpoint}${hint ? `?id_token_hint=${hint}` : ''}`
    return browser.submit(await browser.open(url), /\/logout\/confirm$/, answer)
  }

  it('signing out ends both sessions of one app', async () => {
    const browser = createBrowser()
    const [first, second] = [await app.signIn({}, browser), await app.signIn({}, browser)]
    await signOut(browser, { logout: 'yes' }, first.id_token)
    assert.deepEqual([await alive(first), await alive(second)], [false, false])
  })

  it('signing out ends the session also after a sign-in that was begun and left', async () => {
    const browser = createBrowser()
    const tokens = await app.signIn({}, browser)
    await browser.open((await app.begin({ prompt: 'login' })).url.href, DONE)
    await signOut(browser, { logout: 'yes' }, tokens.id_token)
    assert.equal(await alive(tokens), false)
  })

  it('a revocation asks for the password also after a code that was never exchanged', async () => {
    const browser = createBrowser()
    const tokens = await app.signIn({}, browser)
    await browser.open((await app.begin()).url.href, DONE)
    await app.revoke(`${tokens.logout_ticket}`)
    const page = await browser.open((await app.begin()).url.href, DONE)
    assert.match(page.html, /name="password"/)
  })

  it('signing in as somebody else ends the session of whoever was here', async () => {
    const browser = createBrowser()
    const anns = await app.signIn({}, browser)
    const page = await browser.open((await app.begin({ prompt: 'login' })).url.href, DONE)
    const between = await browser.submit(page, /\/login$/, BOB, DONE)
    if (!DONE.test(between.url)) await browser.submit(between, /\/logout\/confirm$/, {}, DONE)
    assert.equal(await alive(anns), false)
  })

  it('"Stay signed in" leaves the session alone, and no page says otherwise', async () => {
    const browser = createBrowser()
    const tokens = await app.signIn({}, browser)
    const page = await signOut(browser, {}, tokens.id_token)
    assert.equal(await alive(tokens), true)
    assert.doesNotMatch(page.html, /signed out|has ended/)
  })

  it('where nothing was ended, no page says that it was', async () => {
    const tokens = await app.signIn()
    const page = await signOut(createBrowser(), { logout: 'yes' }, tokens.id_token)
    if (await alive(tokens)) assert.doesNotMatch(page.html, /Its tokens are refused/)
  })

  it('every page forbids frames and scripts, also those on the way out', async () => {
    for (const path of ['/oauth/logout/success', '/oauth/authorize?client_id=nobody']) {
      const response = await fetch(authority.issuer + path, { headers: { accept: 'text/html' } })
      assert.match(response.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/, path)
    }
  })
})
