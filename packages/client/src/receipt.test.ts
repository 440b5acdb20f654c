import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { judge } from './receipt.ts'

const receipt = (sid: string, change: object = {}) => ({
  revoked: true,
  signedOut: true,
  ended: [{ what: 'session', sid, seq: 9, at: '2026-11-25T12:00:00.000Z', reason: 'user_logout', ...change }],
})
const answer = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers })

describe('a receipt', () => {
  it('of this session confirms', async () => {
    assert.deepEqual(await judge(answer(receipt('mine')), 'mine'), { server: 'confirmed' })
  })

  it('of a session that was dead before says so', async () => {
    const body = { revoked: true, already: true }
    assert.deepEqual(await judge(answer(body), 'mine'), { server: 'already-revoked' })
  })

  for (const [name, response] of Object.entries({
    'of another session': answer(receipt('theirs')),
    'of a token alone': answer(receipt('mine', { what: 'access_token' })),
    'without a number': answer(receipt('mine', { seq: undefined })),
    'of nothing': answer({ revoked: true, ended: [], signedOut: true }),
    'that says “unknown”': answer({ revoked: false, status: 'unknown_token' }),
    'with another status': answer(receipt('mine'), 503),
    'that is a page': answer('<p>Sign in to this network</p>'),
    'that is a list': answer([]),
    'that is null': answer('null'),
    'with entries that are none': answer({ revoked: true, ended: [null, 1, 'x'] }),
    'that is empty': answer(''),
  }))
    it(`${name} proves nothing`, async () => {
      const verdict = await judge(response, 'mine')
      assert.equal(verdict.server, 'queued')
    })

  it('that is refused for now says when to come back', async () => {
    const after = async (value: string) => {
      const verdict = await judge(answer('', 503, { 'retry-after': value }), 'mine')
      return verdict.server === 'queued' ? verdict.after : undefined
    }
    assert.equal(await after('7'), 7_000)
    assert.equal(await after('0'), undefined)
    assert.equal(await after('soon'), undefined)
    const date = await after(new Date(Date.now() + 60_000).toUTCString())
    assert.ok(date && date > 50_000 && date <= 60_000)
    assert.equal(await after(new Date(0).toUTCString()), undefined)
  })
})
