import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { asyncStorage, keychain } from '../../../../test/react-native/phone.ts'
import { expoSecureStore } from './adapters.ts'
import { createStore } from './store.ts'

/** A phone’s storages, which refuse what has no room. */
function newStore() {
  const entries = new Map<string, string>()
  const secure = expoSecureStore(keychain(entries, () => {}))
  return {
    store: createStore(
      secure,
      asyncStorage(new Map(), () => {}),
    ),
    entries,
  }
}

const tokens = (n: number, more: Record<string, string> = {}) => ({
  accessToken: 'an access token'.repeat(200),
  expiresAt: 0,
  refreshToken: `rt_${n}_${'x'.repeat(43)}`,
  ticket: `lt_${n}_${'x'.repeat(43)}`,
  claims: { sub: `sub-${n}`, sid: `the-session-with-the-number-${n}`, ...more },
})
const ended = { reason: 'user_logout', at: '2026-01-01T00:00:00.000Z', to: false as const }

describe('the session in a keychain', () => {
  it('has room for the logouts of many who were never online, the latest of them', async () => {
    const { store, entries } = newStore()
    for (let n = 0; n < 50; n++) {
      const { epoch } = await store.read()
      assert.ok(await store.open(tokens(n), epoch))
      assert.ok(await store.end(ended, epoch + 1, 'user_logout'))
    }
    const waiting = await store.queued()
    assert.ok(waiting.length >= 8, `${waiting.length}`)
    assert.equal(waiting.at(-1)?.sid, tokens(49).claims.sid)
    assert.equal(waiting[0]?.sid, tokens(50 - waiting.length).claims.sid)
    assert.ok(Buffer.byteLength(`${entries.get('rescind.outbox')}`) <= 2048)
  })

  it('keeps one logout of a session, and puts off only what still waits', async () => {
    const { store } = newStore()
    await store.open(tokens(1), 0)
    const queued = await store.end(ended, undefined, 'user_logout')
    assert.ok(queued)
    await store.queue({ ...queued, attempts: 1 })
    assert.deepEqual(
      (await store.queued()).map(({ attempts }) => attempts),
      [1],
    )
    await store.unqueue(queued.sid)
    await store.queue({ ...queued, attempts: 2 })
    assert.deepEqual(await store.queued(), [])
  })

  it('is for the epoch that was meant', async () => {
    const { store } = newStore()
    await store.open(tokens(1), 0)
    assert.equal(await store.save(tokens(2), 0), undefined)
    assert.equal(await store.end(ended, 0, 'user_logout'), undefined)
    assert.equal((await store.read()).tokens?.claims.sub, 'sub-1')
    assert.equal(await store.open(tokens(3), 0), undefined)
    // Who came too late is logged out.
    assert.deepEqual(
      (await store.queued()).map(({ ticket }) => ticket),
      [tokens(3).ticket],
    )
  })
})
