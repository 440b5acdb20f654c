import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { AuditEvent } from './audit.ts'
import { noticesOf } from './notices.ts'
import { REASONS } from './reason.ts'

const WHOSE = { n: 7, at: 1_764_000_000_000, actor: 'rescind', sub: 'ann', sid: 's', clientId: 'app' }

function ofRevocation(reason: string, detail = 'session') {
  const record = { ...WHOSE, event: 'revocation' as const, reason, detail, seq: 3 }
  return noticesOf(record, { client: { backchannelUri: 'https://app.example/logout' } })
}

const kinds = (notices: ReturnType<typeof noticesOf>) =>
  notices.map((one) => (one.kind === 'webhook' ? one.type : one.kind === 'mail' ? one.mail : one.kind))

describe('notices', () => {
  it('of a session’s end go to the client always, and to the person where it was not their own doing', () => {
    const mailed = new Map(REASONS.map((reason) => [reason, kinds(ofRevocation(reason))]))
    for (const [reason, all] of mailed) {
      assert.ok(all.includes('session.ended') && all.includes('backchannel_logout'), reason)
    }
    const mails = [...mailed].flatMap(([reason, all]) => (all.length > 2 ? [`${reason}: ${all[1]}`] : []))
    assert.deepEqual(mails.sort(), [
      'admin_forced: signed_out',
      'device_removed: signed_out',
      'suspicious_activity: signed_out',
      'token_reuse: token_reuse',
    ])
  })

  it('of one token are no logout', () => {
    assert.deepEqual(kinds(ofRevocation('admin_forced', 'access_token')), ['access_token.revoked'])
    assert.deepEqual(kinds(ofRevocation('admin_forced', 'refresh_token')), ['refresh_token.revoked'])
    assert.deepEqual(kinds(ofRevocation('admin_forced', 'cut_off before 2026-01-01')), ['tokens.cut_off'])
    assert.deepEqual(kinds(ofRevocation('admin_forced', 'session: asked by phone')).length, 3)
  })

  it('of what nobody has to hear are none', () => {
    const quiet: AuditEvent['event'][] = ['signin.succeeded', 'device.renamed', 'account.reviewed']
    for (const event of quiet) assert.deepEqual(noticesOf({ ...WHOSE, event }), [])
  })

  it('go to the person only where there is one', () => {
    const { sub: _, ...nobody } = WHOSE
    assert.deepEqual(kinds(noticesOf({ ...nobody, event: 'account.password_set' })), [
      'account.password_changed',
    ])
  })
})
