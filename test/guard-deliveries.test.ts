import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { revoke } from '../packages/authority/src/revoke.ts'
import { until } from '../packages/guard/test/peer.ts'
import { type GuardProcess, spawnGuard } from './processes.ts'
import { openSession } from './sessions.ts'
import { freePort, startTestAuthority, type TestAuthority } from './setup.ts'
import { startTcpProxy } from './tcp-proxy.ts'
import { startUnrulyProxy } from './unruly-proxy.ts'

/* A guard that is told badly, or all at once, or not for a while. */

const codeOf = async (guard: GuardProcess, token: string) => {
  const { ok, code } = await guard.check(token)
  return ok ? 'ok' : code
}
const end = ({ authority }: TestAuthority, sid: string) =>
  revoke(authority, { kind: 'session', sid }, 'test', '127.0.0.1')

describe('a guard whose messages come twice and in the wrong order', () => {
  let authority: TestAuthority
  let proxy: { stop(): Promise<void> }
  before(async () => {
    const port = await freePort()
    authority = await startTestAuthority({ issuer: `http://localhost:${port}` })
    proxy = await startUnrulyProxy(authority.config.port, port)
  })
  after(async () => {
    await proxy.stop()
    await authority.stop()
  })

  it('misses none, and refuses nobody else', async () => {
    const guard = await spawnGuard(authority.issuer)
    const live = await openSession(authority.authority)
    const dead = await Promise.all(Array.from({ length: 200 }, () => openSession(authority.authority)))
    for (const { token } of dead.slice(0, 20)) assert.equal(await codeOf(guard, token), 'ok')
    for (const { sid } of dead) {
      void end(authority, sid)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    for (const { token } of dead)
      await until(async () => (await codeOf(guard, token)) === 'AUTHENTICATION_FAILED')
    assert.equal(await codeOf(guard, live.token), 'ok')
    guard.stop()
  })
})

describe('a guard that is away', () => {
  it('during 10,000 revocations knows every one of them when it is back', async () => {
    const proxyPort = await freePort()
    const authority = await startTestAuthority({ issuer: `http://localhost:${proxyPort}` })
    const proxy = await startTcpProxy(authority.config.port, proxyPort)
    const guard = await spawnGuard(authority.issuer)
    const open = (many: number) =>
      Promise.all(Array.from({ length: many }, () => openSession(authority.authority)))
    const [dead, live] = [await open(10_000), await open(100)]
    for (const { token } of dead.slice(0, 100)) assert.ok((await guard.hold(token)).ok)
    proxy.cut(true)
    await Promise.all(dead.map(({ sid }) => end(authority, sid)))
    proxy.mend()
    const { seq } = authority.authority.feed.head
    await until(async () => (await guard.state()).seq >= seq)
    let accepted = 0
    for (const { token } of dead) if ((await codeOf(guard, token)) === 'ok') accepted++
    assert.equal(accepted, 0)
    for (const { token } of live) assert.equal(await codeOf(guard, token), 'ok')
    const { ended, open: stillOpen } = await guard.state()
    assert.deepEqual([ended.length, stillOpen], [100, 0])
    guard.stop()
    await proxy.stop()
    await authority.stop()
  })

  it('for longer than tokens live closes what it holds all the same', async () => {
    const authority = await startTestAuthority()
    const guard = await spawnGuard(authority.issuer)
    const { sid, token } = await openSession(authority.authority)
    assert.ok((await guard.hold(token)).ok)
    // Its clock goes by the authority’s, which jumps: the token has expired long ago.
    authority.advance(3_600_000)
    await until(async () => (await guard.state()).ended.length === 1)
    assert.deepEqual((await guard.state()).ended, [{ sid, reason: 'token_expired' }])
    assert.equal(await codeOf(guard, token), 'AUTHENTICATION_FAILED')
    guard.stop()
    await authority.stop()
  })
})
