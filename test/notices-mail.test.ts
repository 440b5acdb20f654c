import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setPassword } from '../packages/authority/src/accounts.ts'
import type { AuditEvent } from '../packages/authority/src/domain/audit.ts'
import { MAIL_CODE, readMailCode } from '../packages/authority/src/notify/mail-code.ts'
import { until } from '../packages/guard/test/peer.ts'
import { freePort, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { refresh, refreshed, signIn } from './sign-in.ts'
import { startMailbox } from './smtp.ts'

const FROM = 'Example <no-reply@login.example>'
const MINUTE = 60_000

async function accountOf({ authority }: TestAuthority) {
  const account = await authority.store.read({ kind: 'account', email: PERSON.email })
  assert.ok(account)
  return account
}

/** Writes what a part of the authority would write that something happened. */
async function happens(
  test: TestAuthority,
  event: Partial<AuditEvent> & Pick<AuditEvent, 'event'>,
  times = 1,
) {
  const { sub } = await accountOf(test)
  const at = test.authority.now()
  const audit = Array.from({ length: times }, () => ({ at, actor: 'rescind', sub, ...event }))
  await test.authority.store.transact({ kind: 'write', records: [], audit, at })
}

async function endSession(test: TestAuthority, reason: 'admin_forced' | 'user_logout' | 'session_timeout') {
  const { access_token } = await signIn(test.issuer)
  const { sid } = JSON.parse(atob(`${access_token.split('.')[1]}`)) as { sid: string }
  const request = { by: { kind: 'session' as const, sid }, reason, actor: 'rescind' }
  await test.authority.store.transact({ kind: 'revoke', request, at: test.authority.now() })
  return sid
}

const codeIn = (text: string | undefined, path: string) =>
  new RegExp(`${path}\\?code=([\\w-]{43})(?![\\w-])`).exec(`${text}`)?.[1] ?? 'none'
/** Each sign-in of a test comes from a device of its own, which is news too. */
const endings = <T extends { subject?: string }>(mails: T[]) =>
  mails.filter(({ subject }) => !subject?.startsWith('New sign-in'))
const deliveries = ({ authority }: TestAuthority) =>
  authority.store.read({ kind: 'deliveries', limit: 1_000 })

describe('mail', () => {
  it('tells of a changed password, with a link that works once', async () => {
    const mailbox = await startMailbox()
    const test = await startTestAuthority({ name: 'Example', mail: { smtp: mailbox.url, from: FROM } })
    const { store, seal, now } = test.authority
    await setPassword(store, PERSON.email, 'a new password of Ann', 'test', now())
    await until(() => mailbox.mails.length === 1)
    const [mail] = mailbox.mails
    assert.deepEqual(mail?.from, { name: 'Example', address: 'no-reply@login.example' })
    assert.equal(mail?.to?.[0]?.address, PERSON.email)
    assert.equal(mail?.subject, 'Your Example password was changed')
    assert.match(`${mail?.text}`, /The password of your Example account was changed\./)
    assert.doesNotMatch(`${mail?.html}`, /<(?:img|script|link|style)|src=/, 'nothing remote')
    assert.ok(mail?.html?.includes(`href="${test.issuer}/not-me?code=`))
    const code = codeIn(mail?.text, `${test.issuer}/not-me`)
    const { sub } = await accountOf(test)
    const found = await readMailCode(store, seal, code, now())
    assert.deepEqual([found?.purpose, found?.sub], ['not-me', sub])
    const consume = { op: 'consume' as const, model: MAIL_CODE, id: `${found?.id}`, at: now() }
    const use = () => store.transact({ kind: 'write', records: [consume], audit: [], at: now() })
    assert.equal((await use()).kind, 'written')
    assert.equal((await use()).kind, 'conflict')
    assert.equal(await readMailCode(store, seal, code, now()), undefined)
    await test.stop()
    await mailbox.close()
  })

  it('names a device as one harmless line', async () => {
    const mailbox = await startMailbox()
    const test = await startTestAuthority({ mail: { smtp: mailbox.url, from: FROM } })
    const detail = 'Chrome\r\nBcc: eve@evil.example\r\n\r\n<b onload=x>\u202Egpj.exe http://evil.example/'
    await happens(test, { event: 'device.added', clientId: 'third-party', detail })
    await until(() => mailbox.mails.length === 1)
    const [mail] = mailbox.mails
    assert.equal(mail?.subject, 'New sign-in to your Rescind account')
    assert.equal(mail?.bcc, undefined)
    assert.equal(mail?.headers.filter(({ key }) => key === 'bcc').length, 0)
    assert.doesNotMatch(`${mail?.text}${mail?.html}`, /\u202E|onload=x>|evil\.example|<b /)
    assert.match(
      `${mail?.text}`,
      /^- Device: Chrome Bcc eve evil example b onload=x gpj exe http evil example$/m,
    )
    assert.match(`${mail?.text}`, /^- App: Somebody else’s app$/m)
    await test.stop()
    await mailbox.close()
  })

  it('tells of sessions that were ended elsewhere: many at once in one mail, one’s own not at all', async () => {
    const mailbox = await startMailbox()
    const test = await startTestAuthority({ mail: { smtp: mailbox.url, from: FROM } })
    await endSession(test, 'user_logout')
    await endSession(test, 'session_timeout')
    for (let i = 0; i < 3; i++) await endSession(test, 'admin_forced')
    await until(async () => (await deliveries(test)).some(({ topic }) => topic === 'signed_out'))
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    for (let i = 0; i < 9; i++) await endSession(test, 'admin_forced')
    await until(async () => {
      const [head, cursor] = await Promise.all([
        test.authority.store.read({ kind: 'head' }),
        test.authority.store.read({ kind: 'notify-cursor' }),
      ])
      return head.records > 0 && cursor !== undefined
    })
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    assert.equal(endings(mailbox.mails).length, 0, 'it waits for more')
    test.advance(MINUTE)
    await until(() => endings(mailbox.mails).length >= 1)
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    assert.equal(endings(mailbox.mails).length, 1)
    const text = `${endings(mailbox.mails)[0]?.text}`
    assert.equal(text.match(/by an administrator/g)?.length, 10)
    assert.match(text, /and 2 more/)
    await test.stop()
    await mailbox.close()
  })

  it('tells of a token that was used twice', async () => {
    const mailbox = await startMailbox()
    const test = await startTestAuthority({ mail: { smtp: mailbox.url, from: FROM } })
    const first = await signIn(test.issuer)
    const second = await refreshed(test.issuer, first.refresh_token)
    await refreshed(test.issuer, second.refresh_token)
    assert.equal((await refresh(test.issuer, first.refresh_token)).status, 400)
    await until(async () => (await deliveries(test)).some(({ topic }) => topic === 'token_reuse'))
    test.advance(MINUTE)
    await until(() => endings(mailbox.mails).length === 1)
    assert.equal(endings(mailbox.mails)[0]?.subject, 'A session of your Rescind account was ended for safety')
    await test.stop()
    await mailbox.close()
  })

  it('can’t be used to bomb somebody; what a person has to know has a budget of its own', async () => {
    const mailbox = await startMailbox()
    const test = await startTestAuthority({
      mail: { smtp: mailbox.url, from: FROM },
      logLevel: 'silent',
      metrics: { host: '127.0.0.1', port: await freePort() },
    })
    await happens(test, { event: 'device.added', detail: 'A phone' }, 25)
    await until(() => mailbox.mails.length === 5)
    await happens(test, { event: 'account.password_set' }, 12)
    await until(() => mailbox.mails.length === 15)
    await happens(test, { event: 'account.compromised' }, 8)
    await until(() => mailbox.mails.length === 20)
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    assert.equal(mailbox.mails.length, 20)
    const { port } = test.config.metrics as { port: number }
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    assert.match(metrics, /rescind_notices_total\{kind="mail",result="dropped_new_device"\} 20/)
    const urgent = mailbox.mails.find(({ subject }) => subject?.includes('secured'))
    const code = codeIn(urgent?.text, `${test.issuer}/reset`)
    const { store, seal, now } = test.authority
    assert.equal((await readMailCode(store, seal, code, now()))?.purpose, 'reset')
    assert.equal(await readMailCode(store, seal, code, now() + 25 * 60 * MINUTE), undefined)
    test.advance(61 * MINUTE)
    await happens(test, { event: 'device.added', detail: 'A tablet' })
    await until(() => mailbox.mails.length === 21)
    await test.stop()
    await mailbox.close()
  })

  it('goes to both addresses when the address changes', async () => {
    const mailbox = await startMailbox()
    const test = await startTestAuthority({ mail: { smtp: mailbox.url, from: FROM } })
    await happens(test, { event: 'account.email_changed', detail: 'from ann@old.example' })
    await until(() => mailbox.mails.length === 2)
    const to = mailbox.mails.map((mail) => mail.to?.[0]?.address)
    assert.deepEqual(to.sort(), [PERSON.email, 'ann@old.example'].sort())
    const withLink = mailbox.mails.filter((mail) => mail.text?.includes('/not-me?code='))
    assert.equal(withLink.length, 1, 'whoever has the new address may be the one who should not')
    assert.equal(withLink[0]?.to?.[0]?.address, 'ann@old.example')
    await test.stop()
    await mailbox.close()
  })

  it('waits for a mail server that is down, and gives up an address that is refused', async () => {
    const port = await freePort()
    const smtp = `smtp://127.0.0.1:${port}`
    const test = await startTestAuthority({ mail: { smtp, from: FROM }, logLevel: 'silent' })
    await happens(test, { event: 'account.password_set' })
    await until(async () => (await deliveries(test))[0]?.attempts === 1)
    const mailbox = await startMailbox(port)
    test.advance(MINUTE)
    await until(() => mailbox.mails.length === 1)
    mailbox.refuse = 450
    await happens(test, { event: 'account.password_set' })
    await until(async () => (await deliveries(test))[1]?.attempts === 1)
    assert.equal((await deliveries(test))[1]?.state, 'waiting')
    mailbox.refuse = 550
    test.advance(MINUTE)
    await until(async () => (await deliveries(test))[1]?.state === 'dead')
    assert.equal((await deliveries(test))[1]?.lastError, 'the mail server answered 550')
    assert.doesNotMatch(JSON.stringify(await deliveries(test)), /ann@example/)
    await test.stop()
    await mailbox.close()
  })

  it('is not made without a configuration for it', async () => {
    const test = await startTestAuthority()
    await happens(test, { event: 'account.password_set' })
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    assert.deepEqual(await deliveries(test), [])
    assert.deepEqual(await test.authority.store.read({ kind: 'records', model: MAIL_CODE }), [])
    await test.stop()
  })
})
