import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { createGuard, type Guard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { openFeed } from './feed-client.ts'
import { sessionsOf, sidOf } from './own.ts'
import { API, API_GUARD, startTestAuthority, type TestAuthority } from './setup.ts'
import { refreshed, signIn, type Tokens } from './sign-in.ts'

const MINUTE = 60_000
const OTHER = {
  ...{ resource: 'https://other.example', name: 'Other API', scopes: { 'files:read': 'Read files' } },
  ...{ client_id: 'other-guard', client_secret: 'the secret of the other guard' },
}
const OTHER_GUARD = { clientId: OTHER.client_id, clientSecret: OTHER.client_secret }

/* The time at which a session was last used, as its owner sees it. */
describe('when a session was last seen', () => {
  let authority: TestAuthority
  let guard: Guard
  before(async () => {
    authority = await startTestAuthority()
    authority.config.resources.push(OTHER)
    await authority.restart()
    guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await authority.stop()
  })

  const now = () => authority.authority.now()
  const stored = async (tokens: Tokens) =>
    (await authority.authority.store.read({ kind: 'session', sid: sidOf(tokens) }))?.lastSeen
  const checked = (tokens: Tokens) => until(() => guard.check(tokens.access_token).catch(() => undefined))
  /** What the timers of guard and authority take to notice that a minute is over. */
  const aLook = () => new Promise((resolve) => setTimeout(resolve, 2_500))

  it('is what its API says, a minute later, to the minute', async () => {
    const [used, idle] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    authority.advance(5 * MINUTE)
    await checked(used)
    assert.equal(await stored(used), undefined, 'not a write a request')
    authority.advance(MINUTE)
    await until(async () => (await stored(used)) !== undefined)
    const at = (await stored(used)) as number
    assert.equal(at % MINUTE, 0)
    assert.ok(now() - at < 2 * MINUTE, `${now() - at}`)
    assert.equal(await stored(idle), undefined)
    const listed = await sessionsOf(authority.issuer, idle)
    const lastSeen = (tokens: Tokens) =>
      Date.parse(`${listed.find(({ sid }) => sid === sidOf(tokens))?.lastSeen}`)
    assert.equal(lastSeen(used), at)
    assert.ok(now() - lastSeen(idle) >= 6 * MINUTE, 'when it was opened')
  })

  it('goes on with each use, once a minute', async () => {
    const tokens = await signIn(authority.issuer)
    const times: (number | undefined)[] = []
    for (let minute = 0; minute < 3; minute++) {
      await checked(tokens)
      const before = await stored(tokens)
      authority.advance(MINUTE + 1_000)
      await aLook()
      // The authority may have written just before the guard reported.
      authority.advance(MINUTE)
      await until(async () => (await stored(tokens)) !== before)
      times.push(await stored(tokens))
    }
    assert.deepEqual(times, [...new Set(times)].sort())
    const last = await stored(tokens)
    authority.advance(2 * MINUTE)
    await aLook()
    assert.equal(await stored(tokens), last, 'it was not used')
  })

  it('is when it was refreshed, if that was later', async () => {
    const tokens = await signIn(authority.issuer)
    authority.advance(7 * MINUTE)
    const again = await refreshed(authority.issuer, tokens.refresh_token)
    const listed = await sessionsOf(authority.issuer, again)
    const own = listed.find(({ current }) => current)
    assert.ok(now() - Date.parse(`${own?.lastSeen}`) < MINUTE)
  })

  it('is not for an API to say that the session is not for, nor of a session that nobody has', async () => {
    const [theirs, ours] = [
      await signIn(authority.issuer, { resource: OTHER.resource, scope: 'files:read' }),
      await signIn(authority.issuer),
    ]
    const other = await openFeed(authority.issuer, OTHER_GUARD)
    await other.next('ready')
    const unknown = randomBytes(16).toString('base64url')
    other.socket.send(JSON.stringify({ seen: [unknown, sidOf(ours), sidOf(theirs)] }))
    authority.advance(MINUTE + 1_000)
    await until(async () => (await stored(theirs)) !== undefined)
    assert.equal(await stored(ours), undefined)
    other.socket.close()
  })

  it('is not for a flood: a report is short, and there are few of them', async () => {
    const sids = (count: number) => Array.from({ length: count }, () => randomBytes(16).toString('base64url'))
    for (const said of [
      { seen: sids(501) },
      { seen: [] },
      { seen: ['short'] },
      { seen: [...sids(1), 7] },
      { seen: sids(1), more: 1 },
    ]) {
      const one = await openFeed(authority.issuer, API_GUARD)
      await one.next('ready')
      one.socket.send(JSON.stringify(said))
      assert.equal((await one.closed).code, 1008, JSON.stringify(said).slice(0, 40))
    }
    const long = await openFeed(authority.issuer, API_GUARD)
    await long.next('ready')
    long.socket.send(`{"seen":["${'a'.repeat(17_000)}"]}`)
    assert.equal((await long.closed).code, 1009)
    const many = await openFeed(authority.issuer, API_GUARD)
    await many.next('ready')
    const report = JSON.stringify({ seen: sids(500) })
    for (let i = 0; i < 1_000; i++) many.socket.send(report)
    assert.equal((await many.closed).code, 1008)
    assert.equal(guard.state().live, true, 'the others are not harmed')
  })
})
