import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type Browser, createBrowser } from '../tools/browser.ts'
import { claimsOf, createRelyingParty, DONE, errorOf, type RelyingParty } from './relying-party.ts'
import { CALLBACK, CLIENTS, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post } from './sign-in.ts'

/* OpenID Connect RP-Initiated Logout: an app sends the person here to sign out. */

const LEFT = 'https://app.example/signed-out'

describe('signing out at the authority', () => {
  let authority: TestAuthority
  let app: RelyingParty
  let other: RelyingParty
  before(async () => {
    const clients = CLIENTS.map((one) =>
      one.client_id === 'app' ? { ...one, post_logout_redirect_uris: [LEFT] } : one,
    )
    authority = await startTestAuthority({ clients })
    app = await createRelyingParty(authority.issuer)
    other = await createRelyingParty(authority.issuer, { client: { client_id: 'other-app' } })
  })
  after(() => authority.stop())

  const alive = (tokens: { access_token: string }) => lives(authority.issuer, tokens.access_token)
  function logoutUrl(parameters: Record<string, string | undefined>) {
    const url = new URL(`${app.as.end_session_endpoint}`)
    for (const [name, value] of Object.entries(parameters)) if (value) url.searchParams.set(name, value)
    return url.href
  }
  async function signOut(browser: Browser, parameters: Record<string, string | undefined> = {}) {
    const page = await browser.open(logoutUrl(parameters))
    assert.match(page.html, /name="logout" value="yes"/, 'a person is asked')
    return browser.submit(page, /\/logout\/confirm$/, { logout: 'yes' }, DONE)
  }
  async function asked(browser: Browser) {
    const page = await browser.open((await app.begin()).url.href, DONE)
    return /name="password"/.test(page.html)
  }
  /** Who ended what and why, as the audit log has it. */
  async function reasonOf(tokens: { access_token: string }) {
    const sid = `${claimsOf(tokens.access_token).sid}`
    const session = await authority.authority.store.read({ kind: 'session', sid })
    return session?.ended?.reason
  }

  it('ends what this browser signed in to, in every app, and asks for the password again', async () => {
    const browser = createBrowser()
    const [mine, theirs] = [await app.signIn({}, browser), await other.signIn({}, browser)]
    const elsewhere = await app.signIn()
    await signOut(browser, { id_token_hint: mine.id_token })
    for (const tokens of [mine, theirs]) {
      assert.equal(await alive(tokens), false)
      assert.equal(await reasonOf(tokens), 'user_logout')
    }
    assert.equal(await errorOf(app.refresh(mine.refresh_token)), 'invalid_grant')
    assert.equal(await errorOf(other.refresh(theirs.refresh_token)), 'invalid_grant')
    assert.equal(await alive(elsewhere), true, 'another browser')
    assert.equal(await asked(browser), true)
  })

  it('works without a hint, and nothing ends before the person has said yes', async () => {
    const browser = createBrowser()
    const tokens = await app.signIn({}, browser)
    await browser.open(logoutUrl({}))
    await browser.open(logoutUrl({ id_token_hint: tokens.id_token }))
    assert.equal(await alive(tokens), true)
    await signOut(browser)
    assert.equal(await alive(tokens), false)
  })

  it('goes back to where the client said when it registered, and nowhere else', async () => {
    const browser = createBrowser()
    const tokens = await app.signIn({}, browser)
    const hint = { id_token_hint: tokens.id_token, state: 'the state' }
    for (const target of ['https://evil.example/', `${LEFT}/more`, CALLBACK]) {
      const page = await browser.open(logoutUrl({ ...hint, post_logout_redirect_uri: target }), DONE)
      assert.equal(page.status, 400, target)
    }
    assert.equal(await alive(tokens), true)
    const back = await signOut(browser, { ...hint, post_logout_redirect_uri: LEFT })
    assert.equal(back.url, `${LEFT}?state=the+state`)
    assert.equal(await alive(tokens), false)
  })

  it('a hint that we did not sign is refused', async () => {
    const browser = createBrowser()
    const tokens = await app.signIn({}, browser)
    const [header, payload] = `${tokens.id_token}`.split('.')
    for (const id_token_hint of ['nonsense', `${header}.${payload}.AAAA`, tokens.access_token]) {
      const page = await browser.open(logoutUrl({ id_token_hint }))
      assert.equal(page.status, 400)
    }
    assert.equal(await alive(tokens), true)
  })

  it('a form that was not made for this browser signs nobody out', async () => {
    const [victim, attacker] = [createBrowser(), createBrowser()]
    const tokens = await app.signIn({}, victim)
    await app.signIn({}, attacker)
    const form = await attacker.open(logoutUrl({}))
    const stolen = await victim.submit(form, /\/logout\/confirm$/, { logout: 'yes' })
    assert.equal(stolen.status, 400)
    const own = await victim.open(logoutUrl({}))
    const wrong = await victim.submit(own, /\/logout\/confirm$/, { logout: 'yes', xsrf: 'nonsense' })
    assert.equal(wrong.status, 400)
    assert.equal(await alive(tokens), true)
    assert.equal(await asked(victim), false)
  })

  it('a sign-out link can’t be used to sign out somebody else’s browser', async () => {
    const [mine, theirs] = [createBrowser(), createBrowser()]
    const [first, second] = [await app.signIn({}, mine), await app.signIn({}, theirs)]
    await signOut(mine, { id_token_hint: second.id_token })
    assert.deepEqual([await alive(first), await alive(second)], [false, true])
  })

  it('after a revocation the same browser is asked for the password again, by every app', async () => {
    const browser = createBrowser()
    const tokens = await app.signIn({}, browser)
    assert.equal(await asked(browser), false)
    const next = await app.signIn({}, browser)
    await app.revoke(`${next.logout_ticket}`)
    assert.equal(await asked(browser), true)
    const page = await browser.open((await other.begin()).url.href, DONE)
    assert.match(page.html, /name="password"/)
    assert.equal(await alive(tokens), true, 'the other session of this browser was not revoked')
  })

  it('two sign-ins of one browser and client are two sessions, and one ends without the other', async () => {
    const browser = createBrowser()
    const [first, second] = [await app.signIn({}, browser), await app.signIn({}, browser)]
    assert.notEqual(claimsOf(first.access_token).sid, claimsOf(second.access_token).sid)
    const pair = { accessToken: second.access_token, refreshToken: second.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    assert.deepEqual([await alive(first), await alive(second)], [true, false])
    assert.equal(await errorOf(app.refresh(second.refresh_token)), 'invalid_grant')
    assert.equal(typeof (await app.refresh(first.refresh_token)).access_token, 'string')
  })
})
