import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { DEFAULT_POLICY } from '../packages/authority/src/domain/policy.ts'
import { createGuard, type Guard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { API, API_GUARD, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, refresh, refreshed, signIn, type Tokens } from './sign-in.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const sidOf = ({ access_token: token }: Tokens): string => JSON.parse(atob(`${token.split('.')[1]}`)).sid

/* Sessions that end by themselves: the clock is moved, not waited for. */
describe('a session that is over by itself', () => {
  let authority: TestAuthority
  let guard: Guard
  before(async () => {
    const clients = {
      'other-app': { accessTokenTtl: 60, sessionIdle: 5 * MINUTE, sessionAbsolute: 15 * MINUTE },
    }
    authority = await startTestAuthority({ policy: { ...DEFAULT_POLICY, clients } })
    guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await authority.stop()
  })

  const sessionOf = (tokens: Tokens) =>
    authority.authority.store.read({ kind: 'session', sid: sidOf(tokens) })
  const endingOf = async (tokens: Tokens) => (await sessionOf(tokens))?.ended?.reason
  const timedOut = (tokens: Tokens) => until(async () => (await endingOf(tokens)) === 'session_timeout')
  /** Long enough for the timer to have looked. */
  const aLook = () => new Promise((resolve) => setTimeout(resolve, 1_500))

  it('closes what it has open at that moment, with the reason, and not when somebody next tries', async () => {
    const again = await signIn(authority.issuer, { clientId: 'other-app' })
    for (let minute = 0; minute < 12; minute += 4) {
      authority.advance(4 * MINUTE)
      Object.assign(again, await refreshed(authority.issuer, again.refresh_token, 'other-app'))
    }
    authority.advance(2 * MINUTE + 30_000)
    Object.assign(again, await refreshed(authority.issuer, again.refresh_token, 'other-app'))
    await until(async () => await guard.check(again.access_token).catch(() => undefined))
    const session = await guard.check(again.access_token)
    const closed: string[] = []
    guard.connections.add(session, (reason) => closed.push(reason))
    authority.advance(35_000)
    await until(() => closed.length > 0)
    assert.deepEqual(closed, ['session_timeout'])
    assert.equal(session.signal.aborted, true)
    assert.equal(await lives(authority.issuer, again.access_token), false)
  })

  it('ends when nobody used it for as long as its client allows', async () => {
    const [short, long] = [
      await signIn(authority.issuer, { clientId: 'other-app' }),
      await signIn(authority.issuer),
    ]
    authority.advance(6 * MINUTE)
    await timedOut(short)
    assert.equal((await refresh(authority.issuer, short.refresh_token, 'other-app')).status, 400)
    assert.equal(await endingOf(long), undefined, 'other clients have other times')
    authority.advance(29 * DAY)
    const used = await refreshed(authority.issuer, long.refresh_token)
    authority.advance(2 * DAY)
    await aLook()
    assert.equal(await endingOf(used), undefined, 'it was used meanwhile')
    authority.advance(29 * DAY)
    await timedOut(used)
  })

  it('ends at ninety days whatever happens, and is in the audit log once', async () => {
    let tokens = await signIn(authority.issuer)
    for (let day = 0; day < 87; day += 29) {
      authority.advance(29 * DAY)
      tokens = await refreshed(authority.issuer, tokens.refresh_token)
    }
    authority.advance(4 * DAY)
    await timedOut(tokens)
    const { sid } = (await sessionOf(tokens)) ?? {}
    const records = await authority.authority.store.read({ kind: 'audit', filter: { sid, limit: 100 } })
    const endings = records.filter(({ event }) => event === 'revocation')
    assert.deepEqual(
      endings.map(({ reason, actor }) => [reason, actor]),
      [['session_timeout', 'rescind']],
    )
  })

  it('is found after a restart, also when times were shortened meanwhile', async () => {
    const [kept, shortened] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    authority.advance(2 * HOUR)
    const { access_token } = await refreshed(authority.issuer, kept.refresh_token)
    authority.config.policy.sessionIdle = HOUR
    await authority.restart()
    await timedOut(shortened)
    assert.equal(await lives(authority.issuer, access_token), true)
    authority.config.policy.sessionIdle = 30 * DAY
    await authority.restart()
  })
})

describe('an account with too many sessions', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
    authority.config.policy.maxSessions = 3
    await authority.restart()
  })
  after(() => authority.stop())

  it('loses the one that was unused for the longest when one more opens', async () => {
    const tokens: Tokens[] = []
    for (let i = 0; i < 3; i++) {
      tokens.push(await signIn(authority.issuer))
      authority.advance(1_000)
    }
    const [first, second, third] = tokens as [Tokens, Tokens, Tokens]
    const used = await refreshed(authority.issuer, first.refresh_token)
    authority.advance(1_000)
    const newest = await signIn(authority.issuer)
    const alive = async (one: Tokens) => lives(authority.issuer, one.access_token)
    assert.deepEqual(await Promise.all([used, second, third, newest].map(alive)), [true, false, true, true])
    const ended = await authority.authority.store.read({ kind: 'session', sid: sidOf(second) })
    assert.equal(ended?.ended?.reason, 'session_timeout')
  })
})
