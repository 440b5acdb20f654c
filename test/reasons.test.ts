import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { REASONS } from '../packages/authority/src/domain/reason.ts'
import { createBrowser } from '../tools/browser.ts'
import { audited, subOf } from './account.ts'
import { FROM, mailTo } from './mailed.ts'
import { ask, devicesOf, IPHONE, sessionsOf, sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, refresh, refreshed, signIn, type Tokens } from './sign-in.ts'
import { type Mailbox, startMailbox } from './smtp.ts'

/* Why a session ended: what an app may say, and what only the authority says. */

const OF_APPS = ['user_logout', 'account_switch', 'app_uninstall', 'device_removed']

describe('the reason of an ending', () => {
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

  const revoke = (token: string, more: Record<string, string> = {}) =>
    fetch(`${authority.issuer}/oauth/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'app', token, ...more }),
    })
  type Receipt = {
    revoked: boolean
    ended?: { reason: string }[]
    error?: string
    code?: string
    status?: string
  }
  const answer = async (response: Response) => [response.status, (await response.json()) as Receipt] as const

  for (const reason of OF_APPS)
    it(`${reason}: an app says it with its logout ticket, and it is on record`, async () => {
      const witness = await signIn(authority.issuer)
      const tokens = await signIn(authority.issuer)
      const [status, receipt] = await answer(await revoke(tokens.logout_ticket, { reason }))
      assert.deepEqual(
        [status, receipt.revoked, receipt.ended?.map((one) => one.reason)],
        [200, true, [reason]],
      )
      assert.equal(await lives(authority.issuer, tokens.access_token), false)
      assert.equal((await refresh(authority.issuer, tokens.refresh_token)).status, 400)
      const ended = (await sessionsOf(authority.issuer, witness)).find(({ sid }) => sid === sidOf(tokens))
      assert.equal(ended?.reason, reason)
      const records = await audited(authority, 'revocation', await subOf(authority))
      const record = records.find(({ sid }) => sid === sidOf(tokens))
      assert.deepEqual([record?.reason, record?.actor], [reason, 'client:app'])
      // Sent again, for another reason: the first one stands.
      const [again, second] = await answer(await revoke(tokens.logout_ticket, { reason: 'user_logout' }))
      assert.deepEqual([again, second.ended], [200, undefined])
      const after = (await sessionsOf(authority.issuer, witness)).find(({ sid }) => sid === sidOf(tokens))
      assert.equal(after?.reason, reason)
    })

  it('is user_logout where an app says nothing, and may be said of a refresh or an access token too', async () => {
    const plain = await signIn(authority.issuer)
    assert.equal((await answer(await revoke(plain.logout_ticket)))[1].ended?.[0]?.reason, 'user_logout')
    const tokens = await signIn(authority.issuer)
    for (const token of [tokens.access_token, tokens.refresh_token]) {
      const [status, receipt] = await answer(await revoke(token, { reason: 'account_switch' }))
      assert.deepEqual([status, receipt.ended?.[0]?.reason], [200, 'account_switch'])
    }
  })

  it('that is unknown, or not an app’s to say, is refused, and nothing ends', async () => {
    const tokens = await signIn(authority.issuer)
    const forbidden = REASONS.filter((reason) => !OF_APPS.includes(reason))
    assert.ok(forbidden.includes('admin_forced') && forbidden.includes('token_reuse'))
    for (const reason of [
      ...forbidden,
      'because',
      '',
      'USER_LOGOUT',
      'user_logout ',
      '__proto__',
      'toString',
    ]) {
      for (const token of [tokens.logout_ticket, tokens.refresh_token, tokens.access_token, 'unknown']) {
        const [status, body] = await answer(await revoke(token, { reason }))
        assert.deepEqual(
          [status, body.error, body.code],
          [400, 'invalid_request', 'VALIDATION_ERROR'],
          reason,
        )
      }
    }
    const twice = await fetch(`${authority.issuer}/oauth/revoke`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `client_id=app&token=${tokens.logout_ticket}&reason=user_logout&reason=account_switch`,
    })
    assert.equal(twice.status, 400)
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    await refreshed(authority.issuer, tokens.refresh_token)
  })

  it('is not another client’s to say', async () => {
    const tokens = await signIn(authority.issuer)
    const theirs = { client_id: 'other-app', reason: 'app_uninstall' }
    assert.equal((await revoke(tokens.logout_ticket, theirs)).status, 400)
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
  })

  it('of a device that was lost is device_removed, in every app on it, and its owner is told', async () => {
    const phone = createBrowser(IPHONE)
    const here = await signIn(authority.issuer)
    const lost: Tokens[] = []
    for (const clientId of ['app', 'other-app'])
      lost.push(await signIn(authority.issuer, { browser: phone, clientId }))
    const device = (await devicesOf(authority.issuer, here)).find(({ name }) => name === 'Safari on iOS')
    const { status, body } = await ask(authority.issuer, here, `DELETE /v1/devices/${device?.id}`)
    assert.equal(status, 200)
    const reasons = (body as Receipt).ended?.map(({ reason }) => reason)
    assert.deepEqual(reasons, ['device_removed', 'device_removed'])
    for (const { access_token } of lost) assert.equal(await lives(authority.issuer, access_token), false)
    assert.equal((await refresh(authority.issuer, `${lost[0]?.refresh_token}`)).status, 400)
    assert.equal(await lives(authority.issuer, here.access_token), true)
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    authority.advance(60_000)
    const mail = await mailTo(mailbox, PERSON.email)
    assert.equal(mail.subject, 'You were signed out of Rescind')
    assert.match(`${mail.text}`, /the device was removed/)
  })

  it('of a refresh token that was used twice is token_reuse, and its owner is told', async () => {
    const tokens = await signIn(authority.issuer)
    const next = await refreshed(authority.issuer, tokens.refresh_token)
    authority.advance(11_000)
    const reused = await refresh(authority.issuer, tokens.refresh_token)
    assert.deepEqual(
      [reused.status, ((await reused.json()) as { error: string }).error],
      [400, 'invalid_grant'],
    )
    assert.equal(await lives(authority.issuer, next.access_token), false)
    assert.equal((await refresh(authority.issuer, next.refresh_token)).status, 400)
    const witness = await signIn(authority.issuer)
    const ended = (await sessionsOf(authority.issuer, witness)).find(({ sid }) => sid === sidOf(tokens))
    assert.equal(ended?.reason, 'token_reuse')
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    authority.advance(60_000)
    const mail = await mailTo(mailbox, PERSON.email, 2)
    assert.equal(mail.subject, 'A session of your Rescind account was ended for safety')
  })
})
