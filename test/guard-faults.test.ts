import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { until } from '../packages/guard/test/peer.ts'
import { type AuthorityProcess, type GuardProcess, spawnAuthority, spawnGuard } from './processes.ts'
import { tamper } from './setup.ts'
import { lives, post, signIn, type Tokens } from './sign-in.ts'

/*
 * What a guard does when something breaks between it and its authority: real processes, a real wire that can be cut.
 * No dead token passes, and it recovers by itself.
 */

const STALE = 1_000

describe('a guard', () => {
  let authority: AuthorityProcess
  const guards: GuardProcess[] = []
  before(async () => {
    authority = await spawnAuthority()
  })
  after(() => authority.stop())
  afterEach(() => {
    for (const guard of guards.splice(0)) guard.stop()
    authority.proxy.mend()
  })

  async function startGuard(environment: { SKEW?: string } = {}) {
    const guard = await spawnGuard(authority.issuer, { MAX_STALENESS: `${STALE}`, ...environment })
    guards.push(guard)
    return guard
  }
  const newSession = () => signIn(authority.issuer)
  const revoke = async ({ access_token, refresh_token }: Tokens) => {
    const pair = { accessToken: access_token, refreshToken: refresh_token }
    assert.equal((await post(`${authority.direct}/v1/revoke`, pair)).status, 200)
  }
  const codeOf = async (guard: GuardProcess, { access_token }: Tokens) => {
    const { ok, code } = await guard.check(access_token)
    return ok ? 'ok' : code
  }
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

  it('that is cut off refuses, whoever asks, and recovers by itself', async () => {
    const guard = await startGuard()
    const [dead, live] = [await newSession(), await newSession()]
    assert.deepEqual([await codeOf(guard, dead), await codeOf(guard, live)], ['ok', 'ok'])
    authority.proxy.cut(true)
    await revoke(dead)
    await pause(STALE + 200)
    assert.deepEqual([await codeOf(guard, dead), await codeOf(guard, live)], ['UNAVAILABLE', 'UNAVAILABLE'])
    authority.proxy.mend()
    await until(async () => (await codeOf(guard, live)) === 'ok')
    assert.equal(await codeOf(guard, dead), 'AUTHENTICATION_FAILED')
    await until(async () => (await guard.state()).live)
  })

  it('whose connection was dropped and comes back at once has missed nothing', async () => {
    const guard = await startGuard()
    for (let round = 0; round < 5; round++) {
      const session = await newSession()
      assert.equal(await codeOf(guard, session), 'ok')
      authority.proxy.cut()
      await revoke(session)
      await until(async () => (await codeOf(guard, session)) === 'AUTHENTICATION_FAILED')
    }
  })

  it('behind a black hole lets nothing dead through later than its bound', async () => {
    const guard = await startGuard()
    const [dead, live] = [await newSession(), await newSession()]
    assert.deepEqual([await codeOf(guard, dead), await codeOf(guard, live)], ['ok', 'ok'])
    authority.proxy.blackHole()
    await revoke(dead)
    const revokedAt = performance.now()
    let accepted = revokedAt
    while (performance.now() - revokedAt < STALE + 3_000) {
      const askedAt = performance.now()
      if ((await codeOf(guard, dead)) === 'ok') accepted = askedAt
      await pause(20)
    }
    // The bound is maxStaleness and one introspection (2 s); the rest is this machine’s.
    assert.ok(accepted - revokedAt < STALE + 2_000 + 500, `accepted ${accepted - revokedAt} ms after`)
    assert.equal(await codeOf(guard, live), 'UNAVAILABLE')
    authority.proxy.mend()
    await until(async () => (await codeOf(guard, live)) === 'ok')
    assert.equal(await codeOf(guard, dead), 'AUTHENTICATION_FAILED')
  })

  it('closes what it holds open when it hears again that the session ended meanwhile', async () => {
    const guard = await startGuard()
    const [dead, live] = [await newSession(), await newSession()]
    for (const session of [dead, live]) assert.ok((await guard.hold(session.access_token)).ok)
    authority.proxy.cut(true)
    await revoke(dead)
    await pause(300)
    authority.proxy.mend()
    await until(async () => (await guard.state()).ended.length > 0)
    const { ended, open } = await guard.state()
    assert.deepEqual(
      ended.map(({ reason }) => reason),
      ['user_logout'],
    )
    assert.equal(open, 1)
  })

  it('outlives its authority: killed and started again, nothing dead lives and nothing live is lost', async () => {
    const guard = await startGuard()
    const [dead, live] = [await newSession(), await newSession()]
    await revoke(dead)
    await authority.kill()
    assert.equal(await codeOf(guard, dead), 'AUTHENTICATION_FAILED')
    await pause(STALE + 200)
    assert.equal(await codeOf(guard, live), 'UNAVAILABLE')
    await authority.start()
    await until(async () => (await codeOf(guard, live)) === 'ok')
    await until(async () => (await guard.state()).live)
    await revoke(live)
    await until(async () => (await codeOf(guard, live)) === 'AUTHENTICATION_FAILED')
    assert.equal(await codeOf(guard, dead), 'AUTHENTICATION_FAILED')
  })

  for (const [what, skew] of Object.entries({
    'ten minutes behind': -600_000,
    'ten minutes ahead': 600_000,
  })) {
    it(`goes by the authority’s clock when its own is ${what}`, async () => {
      const guard = await startGuard({ SKEW: `${skew}` })
      const session = await newSession()
      assert.equal(await codeOf(guard, session), 'ok')
      await revoke(session)
      await until(async () => (await codeOf(guard, session)) === 'AUTHENTICATION_FAILED')
    })
  }

  it('works over a wire with 200 ms of delay, without asking about each token', async () => {
    authority.proxy.delay(200)
    const guard = await startGuard()
    const [dead, live] = [await newSession(), await newSession()]
    await codeOf(guard, dead)
    const started = performance.now()
    for (let i = 0; i < 50; i++) assert.equal(await codeOf(guard, live), 'ok')
    assert.ok(performance.now() - started < 5_000, 'each check took a round trip')
    await revoke(dead)
    await until(async () => (await codeOf(guard, dead)) === 'AUTHENTICATION_FAILED')
    assert.equal((await guard.state()).live, true)
  })

  it('does not take old news for new on a wire that gets slower and slower', async () => {
    const guard = await startGuard()
    const session = await newSession()
    assert.equal(await codeOf(guard, session), 'ok')
    // Something is heard all the time, but what is heard is older each time.
    for (let lag = 1_000; lag <= 7_000; lag += 1_000) {
      authority.proxy.delay(lag)
      await pause(1_200)
    }
    await revoke(session)
    const revokedAt = performance.now()
    let accepted = revokedAt
    // Without waiting for the answers: some of them take their time.
    const asks: Promise<void>[] = []
    while (performance.now() - revokedAt < 6_500) {
      const askedAt = performance.now()
      const note = (code?: string) => {
        if (code === 'ok') accepted = Math.max(accepted, askedAt)
      }
      asks.push(codeOf(guard, session).then(note))
      await pause(50)
    }
    await Promise.all(asks)
    assert.ok(accepted - revokedAt < STALE + 2_000 + 500, `accepted ${accepted - revokedAt} ms after`)
  })

  it('starts anew from the status lists when the log was cut off while it was away', async () => {
    const guard = await startGuard()
    const sessions = await Promise.all(Array.from({ length: 4 }, newSession))
    const live = await newSession()
    for (const session of sessions) assert.ok((await guard.hold(session.access_token)).ok)
    authority.proxy.cut(true)
    for (const session of sessions) await revoke(session)
    await tamper(authority, 'DELETE FROM revocations WHERE seq < (SELECT max(seq) FROM revocations)')
    authority.proxy.mend()
    for (const session of sessions)
      await until(async () => (await codeOf(guard, session)) === 'AUTHENTICATION_FAILED')
    assert.equal(await codeOf(guard, live), 'ok')
    await until(async () => (await guard.state()).ended.length === sessions.length)
  })

  it('that starts after a revocation knows it', async () => {
    const [dead, live] = [await newSession(), await newSession()]
    await revoke(dead)
    const guard = await startGuard()
    assert.deepEqual([await codeOf(guard, dead), await codeOf(guard, live)], ['AUTHENTICATION_FAILED', 'ok'])
    assert.equal(await lives(authority.direct, live.access_token), true)
  })
})
