import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { createBrowser, type Page } from '../tools/browser.ts'
import { adminToken, audited, followLink, send, sendForm, subOf } from './account.ts'
import { FROM, linkIn, mailsTo, mailTo, planned } from './mailed.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, lives, signIn } from './sign-in.ts'
import { type Mailbox, startMailbox } from './smtp.ts'

/* Somebody else has an account: how its owner and an administrator get it back, and whether the other one can too. */

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const DAY = 24 * 60 * 60_000
const NEW = { newPassword: 'a new password' }
let people = 0

describe('an account that somebody else has', () => {
  let authority: TestAuthority
  let mailbox: Mailbox
  before(async () => {
    mailbox = await startMailbox()
    authority = await startTestAuthority({ mail: { smtp: mailbox.url, from: FROM }, logLevel: 'silent' })
  })
  after(async () => {
    await authority.stop()
    await mailbox.close()
  })

  async function newPerson(name = 'owner') {
    const person = { email: `${name}-${++people}@example.com`, password: 'a password', name: 'O' }
    await addAccount(authority.authority.store, person, 'test', Date.now())
    return person
  }
  type Person = { email: string; password: string }
  async function changeEmail(person: Person, email: string) {
    const { access_token } = await signIn(authority.issuer, { person })
    const body = { email, currentPassword: person.password }
    const response = await send(authority.issuer, '/v1/account/email', access_token, body)
    assert.equal(response.status, 200, await response.text())
    return { ...person, email }
  }
  /** The page that an attempt to sign in ends on. */
  async function attempt(person: Person): Promise<Page> {
    const browser = createBrowser()
    const page = await browser.open(authorizationRequest(authority.issuer).url)
    return browser.submit(page, /\/login$/, person, /^https:\/\/app\.example\//)
  }
  const emailOf = async (sub: string) =>
    (await authority.authority.store.read({ kind: 'account-by-sub', sub }))?.email
  const rescind = async (...args: string[]) =>
    (await promisify(execFile)(process.execPath, [CLI, ...args, '--data', authority.config.data])).stdout
  const follow = (link: string, fields: Record<string, string> = {}) =>
    followLink(authority.issuer, link, fields)

  it('its old password opens nothing, has the link mailed once more, and the account is up for review', async () => {
    const person = await newPerson()
    const tokens = await signIn(authority.issuer, { person })
    const sub = await subOf(authority, person.email)
    // Whoever reads the owner's mail has asked for a link before.
    await sendForm(`${authority.issuer}/forgot`, { email: person.email })
    const before = linkIn(await mailTo(mailbox, person.email), 'reset')
    authority.advance(1_000)
    const path = `/v1/admin/accounts/${sub}/compromise`
    const body = { reason: 'they called us' }
    const response = await send(authority.issuer, path, await adminToken(authority), body)
    assert.equal(response.status, 200)
    const receipt = (await response.json()) as { ended: { reason: string }[] }
    assert.deepEqual(
      receipt.ended.map(({ reason }) => reason),
      ['account_compromise'],
    )
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    const mail = await mailTo(mailbox, person.email, 2)
    assert.match(`${mail.subject}`, /was secured/)
    assert.equal((await follow(before, NEW)).status, 400)

    const page = await attempt(person)
    assert.equal(page.status, 403)
    assert.match(page.html, /needs a new password/)
    const wrong = await attempt({ ...person, password: 'a wrong password' })
    assert.equal(wrong.status, 401, 'only who knows the password learns what is the matter')
    assert.doesNotMatch(wrong.html, /needs a new password/)
    const again = await mailTo(mailbox, person.email, 3)
    assert.match(`${again.subject}`, /Set a new/)

    assert.match(await rescind('accounts', 'review'), new RegExp(`^${person.email}\t${sub}\tsince `, 'm'))
    assert.equal((await follow(linkIn(mail, 'reset'), NEW)).status, 200)
    assert.equal((await follow(linkIn(again, 'reset'), NEW)).status, 400, 'both were one chance')
    assert.ok(await signIn(authority.issuer, { person: { ...person, password: NEW.newPassword } }))
    assert.match(await rescind('accounts', 'review'), new RegExp(sub), 'a new password is no review')
    await rescind('accounts', 'reviewed', person.email)
    assert.doesNotMatch(await rescind('accounts', 'review'), new RegExp(sub))
    assert.equal((await audited(authority, 'account.reviewed', sub)).length, 1)
  })

  it('only administrators say so over the API, and say why', async () => {
    const person = await newPerson()
    const sub = await subOf(authority, person.email)
    const tokens = await signIn(authority.issuer, { person })
    const path = `/v1/admin/accounts/${sub}/compromise`
    const admin = await adminToken(authority)
    const statusOf = async (token: string, body: unknown, to = path) =>
      (await send(authority.issuer, to, token, body)).status
    assert.deepEqual(
      [
        await statusOf(tokens.access_token, { reason: 'they called us' }),
        await statusOf('nonsense', { reason: 'they called us' }),
        await statusOf(admin, {}),
        await statusOf(admin, { reason: '' }),
        await statusOf(admin, { reason: 'x'.repeat(501) }),
        await statusOf(admin, { reason: 'they called' }, '/v1/admin/accounts/nobody/compromise'),
      ],
      [401, 401, 400, 400, 400, 404],
    )
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    await assert.rejects(rescind('accounts', 'compromise', person.email), /--reason/)
  })

  it('the owner’s link takes a changed e-mail back: the link to set a password goes there, and nowhere else', async () => {
    const person = await newPerson()
    const sub = await subOf(authority, person.email)
    const thiefs = await signIn(authority.issuer, { person })
    const thief = await changeEmail(person, `thief-${person.email}`)
    // What the thief asks for while the account is theirs is worth nothing afterwards.
    await sendForm(`${authority.issuer}/forgot`, { email: thief.email })
    const thiefsReset = linkIn(await mailTo(mailbox, thief.email, 2), 'reset')
    assert.match(thiefsReset, /^\/reset/)

    const told = await mailTo(mailbox, person.email)
    assert.match(`${told.subject}`, /e-mail address .* was changed/)
    assert.equal(
      linkIn(await mailTo(mailbox, thief.email), 'not-me'),
      '',
      'the new address gets no such link',
    )
    const done = await follow(linkIn(told, 'not-me'))
    assert.equal(done.status, 200)
    assert.match(done.html, /Everything is signed out/)
    assert.equal(await emailOf(sub), person.email)
    assert.equal(await lives(authority.issuer, thiefs.access_token), false)
    const secured = await mailTo(mailbox, person.email, 2)
    assert.match(`${secured.subject}`, /was secured/)
    assert.equal((await follow(thiefsReset, NEW)).status, 400)
    assert.equal((await attempt(person)).status, 403)
    assert.equal((await follow(linkIn(secured, 'reset'), NEW)).status, 200)
    assert.ok(await signIn(authority.issuer, { person: { ...person, password: NEW.newPassword } }))
    await planned(authority, mailbox)
    const toThief = mailsTo(mailbox, thief.email).map(({ subject }) => `${subject}`)
    assert.equal(toThief.filter((subject) => /secured/.test(subject)).length, 0, `${toThief}`)
    assert.match(await rescind('accounts', 'review'), new RegExp(sub))
  })

  it('whoever changed it twice holds a link too, but the older one counts, whichever is used first', async () => {
    for (const first of ['owner', 'thief']) {
      const person = await newPerson()
      const sub = await subOf(authority, person.email)
      const thief = await changeEmail(person, `thief-a-${person.email}`)
      const owners = linkIn(await mailTo(mailbox, person.email), 'not-me')
      authority.advance(1_000)
      await changeEmail(thief, `thief-b-${person.email}`)
      const thiefs = linkIn(await mailTo(mailbox, thief.email, 2), 'not-me')
      authority.advance(1_000)
      if (first === 'thief') {
        assert.equal((await follow(thiefs)).status, 200)
        assert.equal(await emailOf(sub), thief.email)
      }
      assert.equal((await follow(owners)).status, 200)
      assert.equal(await emailOf(sub), person.email)
      assert.equal((await follow(thiefs)).status, 400, `${first} first`)
      assert.equal(await emailOf(sub), person.email)
    }
  })

  it('goes back to the address that the link went to, not to one that the owner has left', async () => {
    const person = await newPerson()
    const sub = await subOf(authority, person.email)
    const moved = await changeEmail(person, `moved-${person.email}`)
    authority.advance(DAY)
    const { access_token } = await signIn(authority.issuer, { person: moved })
    const body = { currentPassword: moved.password, newPassword: 'another password' }
    await send(authority.issuer, '/v1/account/password', access_token, body)
    const link = linkIn(await mailTo(mailbox, moved.email, 2), 'not-me')
    assert.equal((await follow(link)).status, 200)
    assert.equal(await emailOf(sub), moved.email)
    assert.match(`${(await mailTo(mailbox, moved.email, 3)).subject}`, /was secured/)
  })

  it('the former address can’t be given to another account meanwhile', async () => {
    const [person, accomplice] = [await newPerson(), await newPerson('accomplice')]
    const sub = await subOf(authority, person.email)
    await changeEmail(person, `thief-${person.email}`)
    await assert.rejects(changeEmail(accomplice, person.email), /can’t be used/)
    assert.equal((await follow(linkIn(await mailTo(mailbox, person.email), 'not-me'))).status, 200)
    assert.equal(await emailOf(sub), person.email)
  })

  it('links are for one purpose, one account and one use, and good for seven days', async () => {
    const [person, other] = [await newPerson(), await newPerson()]
    for (const one of [person, other]) {
      const { access_token } = await signIn(authority.issuer, { person: one })
      const body = { currentPassword: one.password, newPassword: 'another password' }
      await send(authority.issuer, '/v1/account/password', access_token, body)
    }
    const [mine, theirs] = [
      linkIn(await mailTo(mailbox, person.email), 'not-me'),
      linkIn(await mailTo(mailbox, other.email), 'not-me'),
    ]
    const asReset = await fetch(authority.issuer + mine.replace('not-me', 'reset'))
    assert.equal(asReset.status, 400)
    const code = `${mine.split('=')[1]}`
    assert.equal((await sendForm(`${authority.issuer}/reset`, { code, ...NEW })).status, 400)
    for (let n = 0; n < 3; n++)
      assert.equal((await fetch(authority.issuer + mine)).status, 200, 'only looked at')
    assert.equal((await follow(mine)).status, 200)
    assert.equal((await follow(mine)).status, 400)
    const untouched = await authority.authority.store.read({ kind: 'account', email: other.email })
    assert.deepEqual([untouched?.resetRequired, untouched?.reviewSince], [undefined, undefined])
    const late = linkIn(await mailTo(mailbox, other.email), 'not-me')
    authority.advance(7 * DAY + 1_000)
    assert.equal(late, theirs)
    assert.equal((await follow(theirs)).status, 400)
  })

  it('of two uses of one link at once one is done, and it is on record once', async () => {
    const person = await newPerson()
    const sub = await subOf(authority, person.email)
    await changeEmail(person, `thief-${person.email}`)
    const link = linkIn(await mailTo(mailbox, person.email), 'not-me')
    const uses = await Promise.all([follow(link), follow(link)])
    assert.deepEqual(uses.map(({ status }) => status).sort(), [200, 400])
    assert.equal((await audited(authority, 'account.compromised', sub)).length, 1)
    assert.equal((await audited(authority, 'account.email_restored', sub)).length, 1)
  })
})
