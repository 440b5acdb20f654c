import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { revoke } from '../packages/authority/src/revoke.ts'
import { until } from '../packages/guard/test/peer.ts'
import { createBrowser } from '../tools/browser.ts'
import { listenTo } from './events-client.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { post, refreshed, signIn, type Tokens } from './sign-in.ts'

const sidOf = ({ access_token: token }: Tokens): string => JSON.parse(atob(`${token.split('.')[1]}`)).sid

describe('GET /v1/events', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const listen = (tokens: Tokens, last?: string) => listenTo(authority.issuer, tokens.access_token, last)
  const logOut = ({ access_token: accessToken, refresh_token: refreshToken }: Tokens) =>
    post(`${authority.issuer}/v1/revoke`, { accessToken, refreshToken })
  const statusOf = (init: RequestInit) => fetch(`${authority.issuer}/v1/events`, init).then((r) => r.status)

  it('is for live tokens only', async () => {
    const tokens = await signIn(authority.issuer)
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    await logOut(tokens)
    assert.equal(await statusOf({}), 401)
    assert.equal(await statusOf({ headers }), 401)
    assert.equal(await statusOf({ headers: { authorization: 'Bearer nonsense' } }), 401)
    assert.equal(await statusOf({ method: 'POST' }), 405)
  })

  it('ends with the session, the reason last, in all its tabs', async () => {
    const tokens = await signIn(authority.issuer)
    const tabs = [await listen(tokens), await listen(tokens)]
    await logOut(tokens)
    for (const { heard, over } of tabs) {
      await over
      const [last] = heard
      assert.deepEqual([heard.length, last?.event, last?.data.reason], [1, 'session-ended', 'user_logout'])
      assert.deepEqual([last?.data.sid, last?.data.current], [sidOf(tokens), true])
    }
  })

  it('tells the other sessions of the account which one ended, and nobody else', async () => {
    const [here, there] = [
      await signIn(authority.issuer),
      await signIn(authority.issuer, { browser: createBrowser() }),
    ]
    const other = await listen(here)
    await logOut(there)
    await until(() => other.heard.length === 1)
    const [event] = other.heard
    assert.deepEqual(event?.event, 'session-ended')
    assert.deepEqual(
      [event?.data.sid, event?.data.reason, event?.data.current, event?.data.clientId],
      [sidOf(there), 'user_logout', false, 'app'],
    )
    assert.ok(Number(event?.id) > 0 && Date.parse(`${event?.data.at}`) > 0)
    other.stop()
    await other.over
  })

  it('tells what was missed, to whoever comes back', async () => {
    const [here, there, later] = [
      await signIn(authority.issuer),
      await signIn(authority.issuer),
      await signIn(authority.issuer),
    ]
    const first = await listen(here)
    await logOut(there)
    await until(() => first.heard.length === 1)
    first.stop()
    await first.over
    await logOut(later)
    const again = await listen(here, first.heard[0]?.id)
    await until(() => again.heard.length === 1)
    assert.equal(again.heard[0]?.data.sid, sidOf(later))
    again.stop()
    await again.over
  })

  it('ends when only its access token is revoked', async () => {
    const tokens = await signIn(authority.issuer)
    const newer = await refreshed(authority.issuer, tokens.refresh_token)
    const [old, young] = [await listen(tokens), await listen(newer)]
    await post(`${authority.issuer}/v1/revoke`, { accessToken: tokens.access_token })
    await old.over
    assert.equal(old.heard.at(-1)?.event, 'session-ended')
    assert.equal(young.heard.length, 0)
    young.stop()
    await young.over
  })

  it('ends with everything that was issued before a time', async () => {
    const mine = await listen(await signIn(authority.issuer))
    const before = authority.authority.now()
    await revoke(authority.authority, { kind: 'issued-before', before }, 'test', '127.0.0.1', {
      reason: 'admin_forced',
    })
    await mine.over
    assert.equal(mine.heard.at(-1)?.data.reason, 'admin_forced')
    const next = await listen(await signIn(authority.issuer))
    assert.equal(next.heard.length, 0)
    next.stop()
    await next.over
  })

  it('never stays open when its session ends while it opens', async () => {
    for (let round = 0; round < 30; round++) {
      const tokens = await signIn(authority.issuer)
      const [stream] = await Promise.all([listen(tokens).catch(() => undefined), logOut(tokens)])
      await stream?.over
      if (stream) assert.equal(stream.heard.at(-1)?.event, 'session-ended')
    }
  })

  it('lets an account open only so many', async () => {
    const tokens = await signIn(authority.issuer)
    const most = 50 * (1 + authority.others.length)
    const open = await Promise.all(Array.from({ length: most }, () => listen(tokens)))
    await assert.rejects(listen(tokens), /429/)
    for (const one of open) one.stop()
    await Promise.all(open.map((one) => one.over))
    let again = await listen(tokens).catch(() => undefined)
    await until(async () => {
      again ??= await listen(tokens).catch(() => undefined)
      return again !== undefined
    })
    again?.stop()
  })
})
