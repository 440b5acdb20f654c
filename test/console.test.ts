import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { type Browser, createBrowser, type Page, signInThrough } from '../tools/browser.ts'
import { audited, subOf } from './account.ts'
import { type GuardedApi, startGuardedApi } from './guarded-api.ts'
import { CHROME, sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, signIn } from './sign-in.ts'

/* `/admin`, as an administrator without scripts sees it. */

const OPS = { email: 'ops@example.com', password: 'a password of Ops', name: 'Ops' }
const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }

describe('the console', () => {
  let authority: TestAuthority
  let api: GuardedApi
  let browser: Browser
  before(async () => {
    const webhooks = [
      { url: 'http://127.0.0.1:9/', secret: `whsec_${Buffer.alloc(32, 7).toString('base64')}`, events: [] },
    ]
    authority = await startTestAuthority({ admins: [OPS.email], logLevel: 'silent', webhooks } as never)
    const { store, now } = authority.authority
    for (const person of [OPS, BOB]) await addAccount(store, person, 'test', now())
    api = await startGuardedApi(authority.issuer)
    browser = await signedIn(OPS)
  })
  after(async () => {
    await api.close()
    await authority.stop()
  })

  async function signedIn(person: typeof PERSON): Promise<Browser> {
    const fresh = createBrowser(CHROME)
    const back = await signInThrough(fresh, `${authority.issuer}/admin`, person, /[?&]iss=/)
    await fresh.open(back.href)
    return fresh
  }
  const open = (path: string): Promise<Page> => browser.open(`${authority.issuer}${path}`)
  const send = (of: Browser, path: string, body: Record<string, string>, headers: Record<string, string>) =>
    fetch(authority.issuer + path, {
      ...{ method: 'POST', redirect: 'manual', body: new URLSearchParams(body) },
      headers: {
        cookie: [...of.cookies].map(([key, value]) => `${key.split(' ')[2]}=${value}`).join('; '),
        ...headers,
      },
    })

  it('is for administrators alone, and brings them where they wanted to go', async () => {
    const fresh = createBrowser(CHROME)
    const first = await fresh.open(`${authority.issuer}/admin/audit`)
    assert.match(first.html, /name="password"/)
    const back = await signInThrough(fresh, `${authority.issuer}/admin/audit`, OPS, /[?&]iss=/)
    const page = await fresh.open(back.href)
    assert.match(page.url, /\/admin\/audit$/)
    assert.match(page.html, /<h1>Audit<\/h1>/)
    const stranger = await signedIn(BOB)
    for (const path of [
      '/admin',
      '/admin/clients',
      '/admin/audit/export',
      `/admin/accounts/${await subOf(authority)}`,
    ]) {
      const refused = await stranger.open(`${authority.issuer}${path}`)
      assert.equal(refused.status, 403, path)
      assert.ok(!refused.html.includes(PERSON.email))
    }
    const own = { origin: authority.issuer }
    assert.equal((await send(stranger, '/admin/end', { reason: 'because I can' }, own)).status, 403)
    for (const state of ['//evil.example', '/admin/../oauth/logout', 'https://evil.example']) {
      const kept = await open(`/admin?state=${encodeURIComponent(state)}`)
      assert.match(kept.url, /\/admin\?state=/, 'nobody is led astray')
    }
  })

  it('finds an account by its e-mail or id, and says when there is none', async () => {
    const sub = await subOf(authority)
    for (const who of [PERSON.email, PERSON.email.toUpperCase(), sub]) {
      const page = await open(`/admin/accounts?who=${encodeURIComponent(who)}`)
      assert.ok(page.url.endsWith(`/admin/accounts/${sub}`), who)
      assert.ok(page.html.includes(`<h1>${PERSON.email}</h1>`))
    }
    const none = await open('/admin/accounts?who=nobody@example.com')
    assert.deepEqual([none.status, /There is no such account/.test(none.html)], [404, true])
  })

  it('ends the sessions that are marked, or all of them, with a reason, and says who has confirmed it', async () => {
    const sub = await subOf(authority)
    const tokens = await Promise.all([
      signIn(authority.issuer),
      signIn(authority.issuer),
      signIn(authority.issuer),
    ])
    const [one, two, three] = tokens
    const opened = await api.open(one.access_token)
    const page = await open(`/admin/accounts/${sub}`)
    for (const each of tokens) assert.ok(page.html.includes(sidOf(each)))
    const marked = { what: 'some', reason: 'they called us', [`session-${sidOf(one)}`]: 'yes' }
    const done = await browser.submit(page, /\/end$/, marked)
    assert.match(
      done.html,
      /Ended at <time [^>]+>\d\d:\d\d:\d\d UTC<\/time><\/strong>, confirmed by 1 of 1 service\./,
    )
    assert.equal(await opened.socket, '4401 admin_forced')
    assert.equal(await lives(authority.issuer, one.access_token), false)
    assert.equal(await lives(authority.issuer, two.access_token), true)
    const [record] = (await audited(authority, 'revocation', sub)).slice(-1)
    assert.deepEqual(
      [record?.actor, record?.reason],
      [`account:${await subOf(authority, OPS.email)}`, 'admin_forced'],
    )
    assert.match(`${record?.detail}`, /they called us/)
    const none = await browser.submit(done, /\/end$/, { what: 'some', reason: 'they called us' })
    assert.equal(none.status, 400)
    const short = await browser.submit(done, /\/end$/, { what: 'all', reason: '  ' })
    assert.equal(short.status, 400, 'not without a reason')
    assert.equal(await lives(authority.issuer, three.access_token), true)
    await browser.submit(done, /\/end$/, { what: 'all', reason: 'all of it' })
    for (const { access_token } of tokens) assert.equal(await lives(authority.issuer, access_token), false)
  })

  it('counts before it ends many, and has no button for it until then', async () => {
    const mine = await signIn(authority.issuer, { clientId: 'other-app', person: BOB })
    const elsewhere = await signIn(authority.issuer, { person: BOB })
    const form = await open('/admin/end?client=other-app')
    assert.ok(form.html.includes('value="other-app"') && !form.html.includes('name="confirmed"'))
    const what = { client: 'other-app', before: '', reason: 'it was hacked' }
    const counted = await browser.submit(form, /\/admin\/end$/, what)
    assert.match(counted.html, /<strong>1 session<\/strong> of 1 account in 1 client would end/)
    assert.equal(await lives(authority.issuer, mine.access_token), true)
    const done = await browser.submit(counted, /\/admin\/end$/, { ...what, confirmed: 'yes' })
    assert.match(done.html, /Ended at/)
    assert.equal(await lives(authority.issuer, mine.access_token), false)
    assert.equal(await lives(authority.issuer, elsewhere.access_token), true)
    const wrong = await browser.submit(form, /\/admin\/end$/, { ...what, client: '', before: 'yesterday' })
    assert.match(wrong.html, /role="alert">`issuedBefore` must be a time/)
  })

  it('deactivates, lets in again, forces a new password, and takes off the list', async () => {
    const sub = await subOf(authority, BOB.email)
    const page = await open(`/admin/accounts/${sub}`)
    const off = await browser.submit(page, /\/deactivate$/, { reason: 'left the company' })
    assert.match(off.html, /Deactivated/)
    await assert.rejects(signIn(authority.issuer, { person: BOB }), /did not return/)
    const on = await browser.submit(off, /\/reactivate$/, { reason: 'came back' })
    assert.match(on.html, /They can sign in again/)
    await signIn(authority.issuer, { person: BOB })
    const forced = await browser.submit(on, /\/compromise$/, { reason: 'strange mails' })
    assert.match(forced.html, /opens nothing until a new one is set/)
    assert.ok((await open('/admin')).html.includes(BOB.email), 'to look at')
    await browser.submit(forced, /\/reviewed$/, {})
    assert.ok(!(await open('/admin')).html.includes(BOB.email))
  })

  it('shows clients, services with their lag, deliveries that are stuck, and the audit log with filters', async () => {
    assert.ok((await open('/admin/clients')).html.includes('Somebody else’s app'))
    assert.match((await open('/admin/services')).html, /up to date/)
    const failed = await open('/admin/audit?event=signin.failed')
    assert.equal(failed.status, 200)
    const revoked = await open('/admin/audit?event=revocation&reason=admin_forced')
    assert.match(revoked.html, /they called us/)
    assert.ok(!revoked.html.includes('<td>session.opened</td>'))
    const lines = (await open('/admin/audit/export?event=revocation')).html.trim().split('\n')
    assert.ok(lines.length > 3 && lines.every((line) => JSON.parse(line).event === 'revocation'))
    assert.equal((await open('/admin/audit?since=yesterday')).status, 400)
    assert.equal((await open('/admin/deliveries')).status, 200)
  })

  it('changes nothing for another site, nor on an old sign-in', async () => {
    const other = await signIn(authority.issuer)
    const path = `/admin/accounts/${await subOf(authority)}/end`
    const body = { what: 'all', reason: 'because I can' }
    for (const headers of [{}, { origin: 'https://evil.example' }, { origin: 'null' }] as Record<
      string,
      string
    >[])
      for (const to of [path, '/admin/end', '/admin/deliveries/replay'])
        assert.equal((await send(browser, to, body, headers)).status, 403, to)
    authority.advance(6 * 60_000)
    const stale = await send(browser, path, body, { origin: authority.issuer })
    assert.equal(stale.status, 303)
    assert.match(`${stale.headers.get('location')}`, /max_age=300/)
    assert.equal(await lives(authority.issuer, other.access_token), true)
  })
})
