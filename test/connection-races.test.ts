import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { revoke } from '../packages/authority/src/revoke.ts'
import { createGuard, type Guard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { openSession } from './sessions.ts'
import { API, API_GUARD, startTestAuthority, type TestAuthority } from './setup.ts'

describe('a connection that opens while its session is being revoked', () => {
  let authority: TestAuthority
  let guard: Guard
  before(async () => {
    authority = await startTestAuthority()
    guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await authority.stop()
  })

  it('never survives, whatever the order', async () => {
    let opened = 0
    const closed: string[] = []
    const aborted: string[] = []
    const rounds = Array.from({ length: 300 }, async (_, round) => {
      const { sid, token } = await openSession(authority.authority)
      const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
      const end = async () => {
        await pause(round % 7)
        await revoke(authority.authority, { kind: 'session', sid }, 'test', '127.0.0.1')
      }
      const open = async () => {
        await pause((round * 3) % 11)
        const session = await guard.check(token).catch(() => undefined)
        if (!session) return
        // As an upgrade does: something happens between the check and the moment the connection is there.
        await pause(round % 3)
        opened++
        guard.connections.add(session, () => closed.push(sid))
        const aborts = () => aborted.push(sid)
        if (session.signal.aborted) aborts()
        else session.signal.addEventListener('abort', aborts, { once: true })
      }
      await Promise.all([end(), open()])
    })
    await Promise.all(rounds)
    assert.ok(opened > 20, `only ${opened} got past the check`)
    await until(() => closed.length >= opened && aborted.length >= opened)
    assert.deepEqual([closed.length, aborted.length, guard.connections.size], [opened, opened, 0])
  })
})
