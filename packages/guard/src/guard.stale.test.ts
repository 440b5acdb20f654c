import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { AUDIENCE, CREDENTIALS, type Peer, placeOf, refused, startPeer, until } from '../test/peer.ts'
import { createGuard, type Guard, type GuardOptions } from './guard.ts'

const INVALID = 'Bearer error="invalid_token", error_description="the access token is not valid"'
const STALE = 5_001

let peer: Peer
let guard: Guard
let skew = 0

function start(options: Partial<GuardOptions> = {}): Guard {
  guard?.close()
  const now = () => Date.now() + skew
  const own = { issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS }
  guard = createGuard({ ...own, now, ...options })
  return guard
}
const introspections = () => peer.seen.filter(({ path }) => path === '/oauth/introspect')
const visits = () => peer.seen.filter(({ path }) => path === '/feed').length
async function cutOff() {
  peer.feed = 'refused'
  peer.cut()
  await until(() => visits() > 1)
}

beforeEach(async () => {
  skew = 0
  peer = await startPeer()
})
afterEach(async () => {
  guard.close()
  await peer.stop()
})

describe('a guard that has heard nothing', () => {
  it('trusts its memory for maxStaleness, then asks about each token', async () => {
    await start().ready()
    const token = await peer.token()
    await cutOff()
    await guard.check(token)
    assert.equal(introspections().length, 0)
    skew = STALE
    assert.equal(guard.state().live, false)
    await guard.check(token)
    assert.equal(introspections().at(-1)?.token, token)
    assert.match(`${introspections().at(-1)?.authorization}`, /^Basic /)
    peer.active = false
    await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
    assert.equal(introspections().length, 2)
  })

  it('asks once for all who show the same token at the same time, and apart for each token', async () => {
    await start().ready()
    const tokens = [await peer.token(), await peer.token({ jti: 't2' })]
    for (const token of tokens) await guard.check(token)
    await cutOff()
    skew = STALE
    peer.onIntrospect = () => until(() => introspections().length === 2)
    await Promise.all(Array.from({ length: 40 }, (_, i) => guard.check(tokens[i % 2] as string)))
    assert.deepEqual(
      introspections()
        .map(({ token }) => token)
        .sort(),
      tokens.sort(),
    )
    peer.onIntrospect = undefined
    peer.active = false
    for (const token of tokens) await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
  })

  it('does not ask about more than 256 tokens at once', async () => {
    await start().ready()
    const tokens = await Promise.all(Array.from({ length: 257 }, (_, i) => peer.token({ jti: `t${i}` })))
    for (const token of tokens) await guard.check(token)
    await cutOff()
    skew = STALE
    let answer = () => {}
    const held = new Promise<void>((resolve) => {
      answer = resolve
    })
    peer.onIntrospect = () => held
    const asked = tokens.slice(0, 256).map((token) => guard.check(token))
    const all = Promise.all(asked)
    const last = refused(guard.check(tokens[256] as string), 'UNAVAILABLE')
    await Promise.race([last, all])
    answer()
    await last
    // Those who asked first are answered, or have waited too long on a slow machine.
    await all.catch(() => {})
    peer.onIntrospect = undefined
    await guard.check(tokens[256] as string)
  })

  it('does not ask about a token that it knows to be dead, is foreign, or has expired', async () => {
    const dead = await peer.token()
    peer.revoke({ sid: 's1' })
    await start().ready()
    await cutOff()
    skew = STALE
    const now = Math.floor(Date.now() / 1000)
    const others = [{ aud: 'https://other.example' }, { iat: now - 700, exp: now - 100 }, { sid: undefined }]
    const tokens = await Promise.all(others.map((claims) => peer.token({ jti: 't2', ...claims })))
    for (const token of [dead, ...tokens, `${dead}x`, 'x'])
      await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
    assert.equal(introspections().length, 0)
  })

  it('refuses when it can’t ask either, and recovers by itself', async () => {
    await start().ready()
    const token = await peer.token()
    await guard.check(token)
    await peer.stop()
    skew = STALE
    const error = await refused(guard.check(token), 'UNAVAILABLE')
    assert.deepEqual([error.status, error.headers], [503, { 'retry-after': '1' }])
    const { port, keys } = peer
    peer = await startPeer({ port, keys })
    await until(() => guard.state().live)
    await guard.check(token)
    assert.equal(introspections().length, 0)
  })

  it('refuses at once where it is told to, without asking', async () => {
    await start({ onStale: 'deny' }).ready()
    const token = await peer.token()
    await cutOff()
    await guard.check(token)
    skew = STALE
    await refused(guard.check(token), 'UNAVAILABLE')
    assert.equal(introspections().length, 0)
  })

  it('is told by a clock that nobody sets back', async (context) => {
    await start({ now: undefined, maxStaleness: 300 }).ready()
    const token = await peer.token()
    await cutOff()
    const started = Date.now()
    const behind = context.mock.method(Date, 'now', () => started - 30_000)
    await new Promise((resolve) => setTimeout(resolve, 400))
    await guard.check(token)
    behind.mock.restore()
    assert.equal(introspections().length, 1)
  })

  it('is told by the age of its question, not by what was long on its way', async () => {
    await start({ maxStaleness: 400, onStale: 'deny' }).ready()
    const token = await peer.token()
    await guard.check(token)
    // Heartbeats go on; the authority answers nothing.
    peer.muted = true
    await until(() => !guard.state().live)
    await refused(guard.check(token), 'UNAVAILABLE')
  })

  it('does not take the time from a message that was long on its way', async () => {
    await start().ready()
    peer.feed = 'silent'
    peer.muted = true
    const heard = peer.acks.length
    peer.message({ type: 'heartbeat', ...placeOf(0), prev: 0, at: Date.now() - 300_000, firstList: 0 })
    await until(() => peer.acks.length > heard)
    const seconds = Math.floor(Date.now() / 1000)
    await refused(
      guard.check(await peer.token({ iat: seconds - 660, exp: seconds - 60 })),
      'AUTHENTICATION_FAILED',
    )
    await guard.check(await peer.token())
  })

  it('takes a slow wire for what makes the authority’s clock look late', async () => {
    await start().ready()
    peer.feed = 'silent'
    peer.pongAfter = 2_500
    peer.message({ type: 'heartbeat', ...placeOf(0), prev: 0, at: Date.now() - 2_500, firstList: 0 })
    await new Promise((resolve) => setTimeout(resolve, 2_700))
    const seconds = Math.floor(Date.now() / 1000)
    await refused(
      guard.check(await peer.token({ iat: seconds - 60, exp: seconds - 6 })),
      'AUTHENTICATION_FAILED',
    )
    assert.ok(guard.state().live)
  })

  it('asks while it is not ready yet, and does not call a live token dead while it can’t', async () => {
    peer.feed = 'refused'
    start()
    await guard.check(await peer.token())
    assert.equal(introspections().length, 1)
    const { keys, port } = peer
    await peer.stop()
    start()
    const token = await peer.token()
    const error = await refused(guard.check(token), 'UNAVAILABLE')
    assert.equal(error.headers['retry-after'], '1')
    peer = await startPeer({ port, keys })
    await guard.ready()
    await guard.check(token)
  })

  it('hears what the feed brings while it asks', async () => {
    await start().ready()
    const token = await peer.token()
    await guard.check(token)
    peer.feed = 'silent'
    await until(() => guard.state().live)
    skew = STALE
    // The answer says active, and is overtaken by the news on its way.
    const { signal } = await guard.check(token)
    peer.onIntrospect = async () => {
      peer.revoke({ sid: 's1' })
      await until(() => signal.aborted)
    }
    await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
    assert.ok(signal.aborted)
  })

  it('takes nothing for a yes but active: true', async () => {
    peer.feed = 'refused'
    start()
    const token = await peer.token()
    for (const active of [false, 'true', 1, null, undefined, {}]) {
      peer.active = active as boolean
      await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
    }
    peer.active = true
    await guard.check(token)
  })

  it('takes no answer from an error', async () => {
    peer.feed = 'refused'
    start()
    for (const status of [500, 401, 404, 201, 302]) {
      peer.introspectStatus = status
      await refused(guard.check(await peer.token()), 'UNAVAILABLE')
    }
  })

  it('waits 2 s for an answer, and no longer', async () => {
    peer.feed = 'refused'
    start()
    peer.onIntrospect = () => new Promise((resolve) => setTimeout(resolve, 30_000).unref())
    const from = performance.now()
    await refused(guard.check(await peer.token()), 'UNAVAILABLE')
    assert.ok(performance.now() - from < 20_000)
  })
})

describe('a machine whose clock is wrong', () => {
  const MINUTES = 60_000
  const seconds = () => Math.floor(Date.now() / 1000)

  for (const off of [-10 * MINUTES, 10 * MINUTES, -400 * 24 * 60 * MINUTES]) {
    it(`starts cold, and goes by the authority’s time (${off / MINUTES} minutes)`, async () => {
      skew = off
      await start().ready()
      await guard.check(await peer.token({ exp: seconds() + 300 }))
      await guard.check(await peer.token({ jti: 't2', iat: seconds() - 300, exp: seconds() + 10 }))
      const expired = { iat: seconds() - 900, exp: seconds() - 300 }
      await refused(guard.check(await peer.token(expired)), 'AUTHENTICATION_FAILED', INVALID)
      const future = { iat: seconds() + 300, exp: seconds() + 900 }
      await refused(guard.check(await peer.token(future)), 'AUTHENTICATION_FAILED', INVALID)
      assert.equal(introspections().length, 0)
    })
  }

  it('asks about what it knows when its clock has jumped, until it is told the time', async () => {
    await start().ready()
    const token = await peer.token({ exp: seconds() + 300 })
    await guard.check(token)
    skew = 10 * MINUTES
    assert.equal(guard.state().live, false)
    await until(() => guard.state().live)
    await guard.check(token)
    peer.clock = 10 * MINUTES
    skew = 0
    await until(() =>
      guard.check(token).then(
        () => false,
        () => true,
      ),
    )
    await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
  })

  it('judges sign-ins by the authority’s time, too', async () => {
    skew = 10 * MINUTES
    await start().ready()
    const token = await peer.token({ auth_time: seconds() - 100 })
    await guard.check(token, { maxAge: 300 })
    const old = await peer.token({ jti: 't2', auth_time: seconds() - 400 })
    await refused(guard.check(old, { maxAge: 300 }), 'INSUFFICIENT_USER_AUTHENTICATION')
  })
})
