import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { deactivate } from '../packages/authority/src/account-endings.ts'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { until } from '../packages/guard/test/peer.ts'
import { createBrowser } from '../tools/browser.ts'
import { audited, followLink, mailedCode, sendForm, subOf } from './account.ts'
import { FROM, mailsTo, planned } from './mailed.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, authorize, exchange, lives, refresh, signIn } from './sign-in.ts'
import { type Mailbox, startMailbox } from './smtp.ts'

/* `rescind accounts deactivate` and `reactivate`: nobody gets in, by no way that was open before. */

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const DONE = /^https:\/\/app\.example\//
let people = 0

describe('a deactivated account', () => {
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

  const rescind = (...args: string[]) =>
    promisify(execFile)(process.execPath, [CLI, 'accounts', ...args, '--data', authority.config.data])
  async function newPerson() {
    const person = { email: `leaver-${++people}@example.com`, password: 'a password', name: 'L' }
    await addAccount(authority.authority.store, person, 'test', Date.now())
    return person
  }

  it('lets nobody in: no password, no refresh, no code of before, no browser that is signed in, no link', async () => {
    const person = await newPerson()
    const sub = await subOf(authority, person.email)
    const browser = createBrowser()
    const tokens = await signIn(authority.issuer, { person, browser })
    const code = await authorize(authority.issuer, { person })
    const begun = createBrowser()
    const open = await begun.open(authorizationRequest(authority.issuer).url)
    const [reset, notMe] = [
      await mailedCode(authority, { purpose: 'reset', sub }),
      await mailedCode(authority, { purpose: 'not-me', sub }),
    ]
    await rescind('deactivate', person.email, '--reason', 'left the company')

    // The command is another process; it is heard of within half a second.
    await until(async () => !(await lives(authority.issuer, tokens.access_token)))
    assert.equal((await refresh(authority.issuer, tokens.refresh_token)).status, 400)
    const exchanged = await exchange(authority.issuer, code)
    assert.deepEqual(
      [exchanged.status, ((await exchanged.json()) as { error: string }).error],
      [400, 'invalid_grant'],
    )
    const page = await begun.submit(open, /\/login$/, person, DONE)
    assert.equal(page.status, 403)
    assert.match(page.html, /is deactivated/)
    const stranger = await begun.open(authorizationRequest(authority.issuer).url)
    const wrong = await begun.submit(stranger, /\/login$/, { ...person, password: 'a wrong one' }, DONE)
    assert.doesNotMatch(wrong.html, /deactivated/, 'only who knows the password learns it')
    const again = await browser.open(authorizationRequest(authority.issuer).url, DONE)
    assert.match(again.html, /name="password"/)
    for (const link of [`/reset?code=${reset}`, `/not-me?code=${notMe}`]) {
      const answer = await followLink(authority.issuer, link, { newPassword: 'another password' })
      assert.equal(answer.status, 400, link)
    }
    assert.equal((await sendForm(`${authority.issuer}/forgot`, { email: person.email })).status, 200)
    await planned(authority, mailbox)
    const subjects = mailsTo(mailbox, person.email).map(({ subject }) => `${subject}`)
    assert.deepEqual(
      subjects.filter((subject) => /password/.test(subject)),
      [],
    )
    const [end] = await audited(authority, 'revocation', sub)
    assert.deepEqual([end?.reason, end?.detail], ['admin_forced', 'session: left the company'])
  })

  it('stays closed with a new password, and nobody else is touched', async () => {
    const [person, other] = [await newPerson(), await newPerson()]
    const theirs = await signIn(authority.issuer, { person: other })
    await rescind('deactivate', person.email, '--reason', 'left')
    const run = rescind('set-password', person.email)
    run.child.stdin?.end('another password\n')
    await run
    await assert.rejects(signIn(authority.issuer, { person: { ...person, password: 'another password' } }))
    assert.equal(await lives(authority.issuer, theirs.access_token), true)
  })

  it('that is activated again lets people sign in, and brings nothing back', async () => {
    const person = await newPerson()
    const tokens = await signIn(authority.issuer, { person })
    const code = await authorize(authority.issuer, { person })
    await rescind('deactivate', person.email, '--reason', 'by mistake')
    await rescind('reactivate', person.email, '--reason', 'it was a mistake')
    await until(async () => !(await lives(authority.issuer, tokens.access_token)))
    assert.equal((await refresh(authority.issuer, tokens.refresh_token)).status, 400)
    assert.equal((await exchange(authority.issuer, code)).status, 400)
    const again = await signIn(authority.issuer, { person })
    assert.equal(await lives(authority.issuer, again.access_token), true)
    const sub = await subOf(authority, person.email)
    assert.equal((await audited(authority, 'account.reactivated', sub))[0]?.detail, 'it was a mistake')
    await assert.rejects(rescind('deactivate', person.email), /--reason/)
    await assert.rejects(rescind('deactivate', 'nobody@example.com', '--reason', 'x'), /no such account/)
  })

  it('of sign-ins and exchanges that race the deactivation none leaves a live session', async () => {
    for (let round = 0; round < 6; round++) {
      const person = await newPerson()
      const sub = await subOf(authority, person.email)
      const tokens = await signIn(authority.issuer, { person })
      const code = await authorize(authority.issuer, { person })
      const late = signIn(authority.issuer, { person }).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, round * 15))
      const [, exchanged, refreshed] = await Promise.all([
        deactivate(authority.authority, sub, 'test', undefined, 'a race'),
        exchange(authority.issuer, code),
        refresh(authority.issuer, tokens.refresh_token),
      ])
      for (const response of [exchanged, refreshed]) {
        const got = (await response.json()) as { access_token?: string }
        if (got.access_token) assert.equal(await lives(authority.issuer, got.access_token), false)
      }
      const one = await late
      if (one) assert.equal(await lives(authority.issuer, one.access_token), false)
      const { store, now } = authority.authority
      const query = { kind: 'account-sessions' as const, sub, endedSince: now(), limit: 10 }
      assert.deepEqual(
        (await store.read(query)).filter(({ ended }) => !ended),
        [],
      )
    }
  })
})
