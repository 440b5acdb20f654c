import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { resetPassword } from '../packages/authority/src/account-endings.ts'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { MAIL_CODE, readMailCode } from '../packages/authority/src/notify/mail-code.ts'
import type { AccountChange } from '../packages/authority/src/store/store.ts'
import { until } from '../packages/guard/test/peer.ts'
import { createBrowser } from '../tools/browser.ts'
import { audited, followLink, send, sendForm, subOf } from './account.ts'
import { FROM, linkIn, mailsTo, mailTo, planned } from './mailed.ts'
import { ask } from './own.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, lives, signIn } from './sign-in.ts'
import { type Mailbox, startMailbox } from './smtp.ts'

/* `/forgot` and `/reset`, with the mail between them. */

const MINUTE = 60_000
const NEW = { newPassword: 'a new password' }
let people = 0

describe('a forgotten password', () => {
  let authority: TestAuthority
  let mailbox: Mailbox
  before(async () => {
    mailbox = await startMailbox()
    const mail = { smtp: mailbox.url, from: FROM }
    authority = await startTestAuthority({ mail, trustProxy: true, logLevel: 'silent' })
  })
  after(async () => {
    await authority.stop()
    await mailbox.close()
  })

  async function newPerson() {
    const person = { email: `forgetful-${++people}@example.com`, password: 'a password', name: 'F' }
    await addAccount(authority.authority.store, person, 'test', Date.now())
    return person
  }
  let networks = 0
  const network = () => `10.1.${Math.floor(++networks / 250)}.${networks % 250}`
  const forgot = (email: string, headers: Record<string, string> = {}) =>
    sendForm(`${authority.issuer}/forgot`, { email }, { 'x-forwarded-for': network(), ...headers })
  async function mailedLink(email: string, n = 1) {
    assert.equal((await forgot(email)).status, 200)
    return linkIn(await mailTo(mailbox, email, n), 'reset')
  }
  const follow = (link: string, fields: Record<string, string> = NEW) =>
    followLink(authority.issuer, link, fields)
  const canSignIn = (person: { email: string }, password: string) =>
    signIn(authority.issuer, { person: { ...person, password } }).then(
      () => true,
      () => false,
    )

  it('is asked for on a page, from the sign-in page on, and set through a mailed link that ends everything', async () => {
    const person = await newPerson()
    const [one, browser] = [await signIn(authority.issuer, { person }), createBrowser()]
    const two = await signIn(authority.issuer, { person, browser, clientId: 'other-app' })
    const signInPage = await createBrowser().open(authorizationRequest(authority.issuer).url)
    assert.match(signInPage.html, /href="\/forgot"/)
    const visitor = createBrowser()
    const sent = await visitor.submit(await visitor.open(`${authority.issuer}/forgot`), /\/forgot$/, {
      email: ` ${person.email.toUpperCase()} `,
    })
    assert.equal(sent.status, 200)
    const mail = await mailTo(mailbox, person.email)
    assert.equal(mail.subject, 'Set a new Rescind password')
    assert.doesNotMatch(`${mail.text}`, /not-me/)
    assert.equal(await lives(authority.issuer, one.access_token), true, 'asking changes nothing')
    const done = await follow(linkIn(mail, 'reset'))
    assert.equal(done.status, 200)
    assert.match(done.html, /Your password is set/)
    for (const { access_token } of [one, two])
      assert.equal(await lives(authority.issuer, access_token), false)
    const page = await browser.open(authorizationRequest(authority.issuer).url)
    assert.match(page.html, /name="password"/)
    assert.equal(await canSignIn(person, person.password), false)
    assert.equal(await canSignIn(person, NEW.newPassword), true)
    const told = await mailTo(mailbox, person.email, 2)
    assert.equal(told.subject, 'Your Rescind password was changed')
    const ends = await audited(authority, 'revocation', await subOf(authority, person.email))
    assert.deepEqual(
      ends.map(({ reason }) => reason),
      ['password_change', 'password_change'],
    )
  })

  it('the answer and the work are the same for an e-mail that nobody has', async () => {
    const person = await newPerson()
    const before = (await authority.authority.store.read({ kind: 'head' })).records
    const answers: { status: number; html: string; headers: unknown }[] = []
    for (const email of [person.email, 'nobody@example.com', person.email, 'not an address', '']) {
      const response = await forgot(email)
      const html = (await response.text()).replaceAll(email || '\u0000', 'EMAIL')
      const headers = [...response.headers.keys()].filter((name) => name !== 'date').sort()
      answers.push({ status: response.status, html: html.replaceAll('EMAIL', ''), headers })
    }
    for (const answer of answers.slice(1, 4)) assert.deepEqual(answer, answers[0])
    assert.equal(answers[0]?.status, 200)
    const after = (await authority.authority.store.read({ kind: 'head' })).records
    assert.equal(after - before, answers.length, 'each is one record, so each is one write')
    await mailTo(mailbox, person.email, 2)
    await planned(authority, mailbox)
    assert.deepEqual(mailsTo(mailbox, 'nobody@example.com'), [])
  })

  it('only so many mails go to one account, and only so many are asked for from one address', async () => {
    const person = await newPerson()
    for (let n = 0; n < 8; n++) assert.equal((await forgot(person.email)).status, 200)
    await mailTo(mailbox, person.email, 3)
    await planned(authority, mailbox)
    // Each authority may spend what the other has not told it of yet.
    const most = 3 + authority.others.length
    assert.ok(mailsTo(mailbox, person.email).length <= most)
    const statuses: number[] = []
    const here = { 'x-forwarded-for': '198.51.100.7' }
    for (let n = 0; n < 14; n++) statuses.push((await forgot(`nobody-${n}@example.com`, here)).status)
    assert.ok(statuses.includes(429), 'an address is slowed down')
    assert.equal((await forgot('nobody@example.com')).status, 200, 'and no other one')
  })

  it('asking again and again does not keep the owner from the mail that the account was secured', async () => {
    const person = await newPerson()
    for (let round = 0; round < 4; round++) {
      for (let n = 0; n < 3; n++) await forgot(person.email)
      await planned(authority, mailbox)
      authority.advance(12 * MINUTE)
    }
    const { store, now } = authority.authority
    const sub = await subOf(authority, person.email)
    const event = { event: 'account.compromised' as const, at: now(), actor: 'test', sub }
    await store.transact({ kind: 'write', records: [], audit: [event], at: now() })
    await until(() => mailsTo(mailbox, person.email).some(({ subject }) => /secured/.test(`${subject}`)))
  })

  it('a link works once, and looking at it does not use it up', async () => {
    const person = await newPerson()
    const link = await mailedLink(person.email)
    for (let n = 0; n < 3; n++) {
      const seen = await fetch(authority.issuer + link, { headers: { accept: 'text/html' } })
      assert.equal(seen.status, 200)
    }
    assert.equal((await fetch(authority.issuer + link, { method: 'HEAD' })).status, 200)
    const bad = await follow(link, { newPassword: 'short' })
    assert.equal(bad.status, 400)
    assert.match(bad.html, /8 to 1024 characters/)
    assert.equal((await follow(link)).status, 200, 'a bad password did not use it up')
    const again = await follow(link, { newPassword: 'yet another password' })
    assert.equal(again.status, 400)
    assert.match(again.html, /used before, is too old/)
    assert.equal(await canSignIn(person, NEW.newPassword), true)
  })

  it('of two uses at once one sets its password', async () => {
    const person = await newPerson()
    const link = await mailedLink(person.email)
    const uses = await Promise.all(
      ['password of one', 'password of two'].map((newPassword) => follow(link, { newPassword })),
    )
    assert.deepEqual(uses.map(({ status }) => status).sort(), [200, 400])
    const winner = uses[0]?.status === 200 ? 'one' : 'two'
    assert.equal(await canSignIn(person, `password of ${winner}`), true)
  })

  it('a link is good for an hour', async () => {
    const person = await newPerson()
    const link = await mailedLink(person.email)
    authority.advance(59 * MINUTE)
    assert.equal((await fetch(authority.issuer + link)).status, 200)
    authority.advance(2 * MINUTE)
    assert.equal((await fetch(authority.issuer + link)).status, 400)
    const code = `${link.split('=')[1]}`
    assert.equal((await sendForm(`${authority.issuer}/reset`, { code, ...NEW })).status, 400)
    assert.equal(await canSignIn(person, person.password), true)
  })

  it('a link dies when the password or the e-mail is changed otherwise, and by another link', async () => {
    const person = await newPerson()
    const links = [await mailedLink(person.email), await mailedLink(person.email, 2)]
    const tokens = await signIn(authority.issuer, { person })
    const email = `moved-${person.email}`
    const moved = await send(authority.issuer, '/v1/account/email', tokens.access_token, {
      ...{ email, currentPassword: person.password },
    })
    assert.equal(moved.status, 200)
    for (const link of links)
      assert.equal((await follow(link)).status, 400, 'it went to an address of before')
    authority.advance(61 * MINUTE)
    // The first one to the new address says that it is new.
    const [one, two] = [await mailedLink(email, 2), await mailedLink(email, 3)]
    assert.equal((await follow(one)).status, 200)
    assert.equal((await follow(two, { newPassword: 'yet another password' })).status, 400)
    authority.advance(61 * MINUTE)
    const last = await mailedLink(email, 5)
    const again = await signIn(authority.issuer, { person: { email, password: NEW.newPassword } })
    const changed = await send(authority.issuer, '/v1/account/password', again.access_token, {
      ...{ currentPassword: NEW.newPassword, newPassword: 'the last password' },
    })
    assert.equal(changed.status, 200)
    assert.equal((await follow(last)).status, 400)
    assert.equal(await canSignIn({ email }, 'the last password'), true)
  })

  it('what changes while the new password is being hashed counts', async () => {
    const { store, seal, now } = authority.authority
    const at = now()
    const changes: AccountChange[] = [
      { sub: '', email: 'elsewhere@example.com' },
      { sub: '', password: 'the hash of another one' },
      { sub: '', deactivatedAt: at },
      { sub: '', resetRequired: true, validAfter: at },
    ]
    for (const change of changes) {
      const person = await newPerson()
      const code = `${(await mailedLink(person.email)).split('=')[1]}`
      const [account, known] = [
        await store.read({ kind: 'account', email: person.email }),
        await readMailCode(store, seal, code, at),
      ]
      assert.ok(account && known)
      await store.transact({
        kind: 'change-account',
        account: { ...change, sub: account.sub },
        audit: [],
        at,
      })
      const consume = { op: 'consume' as const, model: MAIL_CODE, id: known.id, at }
      const late = resetPassword(authority.authority, account, NEW.newPassword, consume, '192.0.2.1')
      await assert.rejects(late, { code: 'EXPIRED_CODE' }, Object.keys(change)[1])
    }
  })

  it('whoever holds a stolen token can’t make the owner’s link void by signing others out', async () => {
    const person = await newPerson()
    const stolen = await signIn(authority.issuer, { person })
    const link = await mailedLink(person.email)
    for (let n = 0; n < 3; n++)
      assert.equal((await ask(authority.issuer, stolen, 'POST /v1/sessions/revoke-others')).status, 200)
    assert.equal((await follow(link)).status, 200)
    assert.equal(await lives(authority.issuer, stolen.access_token), false)
  })

  it('its forms are taken from their own pages only', async () => {
    const person = await newPerson()
    const link = await mailedLink(person.email)
    const code = `${link.split('=')[1]}`
    for (const path of ['/forgot', '/reset', '/not-me']) {
      for (const headers of [
        { origin: 'https://evil.example' },
        { origin: 'null' },
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
      ] as Record<string, string>[]) {
        const fields = { email: person.email, code, ...NEW }
        const refused = await sendForm(authority.issuer + path, fields, headers)
        assert.equal(refused.status, 403, `${path} ${JSON.stringify(headers)}`)
        assert.match(await refused.text(), /ACCESS_DENIED/)
      }
    }
    await planned(authority, mailbox)
    assert.equal(mailsTo(mailbox, person.email).length, 1)
    // Old browsers send no Origin with a form; there is no cookie here that a stranger could make use of.
    assert.equal((await sendForm(`${authority.issuer}/reset`, { code, ...NEW })).status, 200)
  })

  it('its pages are kept by nobody, framed by nobody, and tell no other site where the person was', async () => {
    const person = await newPerson()
    const link = await mailedLink(person.email)
    for (const path of ['/forgot', link, '/reset?code=nothing', '/not-me?code=nothing', '/reset']) {
      const response = await fetch(authority.issuer + path, { headers: { accept: 'text/html' } })
      const html = await response.text()
      assert.equal(response.headers.get('cache-control'), 'no-store', path)
      assert.equal(response.headers.get('referrer-policy'), 'same-origin', path)
      assert.match(
        `${response.headers.get('content-security-policy')}`,
        /default-src 'none'.*frame-ancestors/,
      )
      assert.deepEqual(response.headers.getSetCookie(), [], path)
      // Nothing on them comes from, or leads to, another site, which would be told the address with its code.
      assert.doesNotMatch(html, /(?:src|href|action)="(?:https?:)?\/\//, path)
    }
  })

  it('a code that is made up, of another kind, given twice or much too long is refused, and costs', async () => {
    const person = await newPerson()
    const link = await mailedLink(person.email)
    const here = { 'x-forwarded-for': '198.51.100.9', accept: 'text/html' }
    const notMe = link.replace('reset', 'not-me')
    for (const bad of [
      notMe,
      `${link}x`,
      link.slice(0, -1),
      '/reset?code=',
      `/reset?code=${'x'.repeat(4_000)}`,
    ]) {
      const response = await fetch(authority.issuer + bad, { headers: here })
      assert.equal(response.status, 400, bad.slice(0, 20))
      assert.doesNotMatch(await response.text(), new RegExp(person.email))
    }
    let tries = 5
    for (; tries < 40; tries++) {
      const response = await fetch(`${authority.issuer}/reset?code=${'a'.repeat(43)}`, { headers: here })
      if (response.status === 429) break
    }
    assert.ok(tries >= 15 && tries <= 30, `${tries} tries`)
    assert.equal((await fetch(authority.issuer + link)).status, 200, 'from elsewhere')
  })
})
