import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { streamSSE, streamText } from 'hono/streaming'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { AUDIENCE, CREDENTIALS, makeKeys, type Peer, signToken, startPeer, until } from '../test/peer.ts'
import { createGuard, type Guard } from './guard.ts'
import { requireSession, type SessionEnv } from './hono.ts'
import type { GuardSession } from './judge.ts'

const METADATA = 'https://api.example/.well-known/oauth-protected-resource'
const ORIGIN = 'https://api.example'

describe('requireSession in Hono', () => {
  let peer: Peer
  let guard: Guard
  let url: string
  const servers: Server[] = []
  const signals: AbortSignal[] = []
  const errors: unknown[] = []

  async function serve(guard: Guard): Promise<string> {
    const app = new Hono()
    app.get('/notes/:id', requireSession(guard, { scope: ['notes:read'] }), (c) => {
      const { sub }: GuardSession = c.get('session')
      return c.json({ sub, id: c.req.param('id') })
    })
    app.get('/delete', requireSession(guard, { scope: ['notes:delete'] }), (c) => c.text('deleted'))
    app.get('/pay', requireSession(guard, { maxAge: 60 }), (c) => c.text('paid'))
    app.get('/signal', requireSession(guard), (c) => {
      signals.push(c.get('session').signal)
      let pieces = 5
      const pull = (body: ReadableStreamDefaultController) =>
        pieces-- > 0 ? body.enqueue(new Uint8Array(9)) : body.close()
      return c.body(new ReadableStream({ pull }))
    })
    app.get('/empty', requireSession(guard), (c) => {
      signals.push(c.get('session').signal)
      return c.body(null, 204)
    })
    app.get('/slow', requireSession(guard), async (c) => {
      const { signal } = c.get('session')
      signals.push(signal)
      await once(signal, 'abort')
      return c.json(signal.reason.reason)
    })
    app.get('/stream', requireSession(guard), (c) =>
      streamSSE(c, async (stream) => {
        await stream.writeSSE({ data: 'first' })
        // Asked for after the response has begun.
        const { signal } = c.get('session')
        signals.push(signal)
        await once(signal, 'abort')
        await stream.writeSSE({ event: 'session-ended', data: signal.reason.reason })
      }),
    )
    app.get('/late', requireSession(guard), (c) =>
      streamText(c, async (stream) => {
        await stream.write('first')
        signals.push(c.get('session').signal)
      }),
    )
    const mounted = new Hono<SessionEnv>()
    mounted.use(requireSession(guard, { origin: ORIGIN }))
    mounted.get('/notes', (c) => c.text(c.get('session').sub))
    app.route('/mounted', mounted)
    const token = () => {
      throw new Error('no cookies today')
    }
    app.get('/broken', requireSession(guard, { token }), (c) => c.text('never'))
    app.onError((error, c) => {
      errors.push(error)
      return c.text('broken', 500)
    })
    const server = createAdaptorServer(app) as Server
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  const ask = (path: string, token?: string, headers: Record<string, string> = {}) =>
    fetch(`${url}${path}`, { headers: token ? { authorization: `Bearer ${token}`, ...headers } : headers })

  before(async () => {
    peer = await startPeer()
    const options = { issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS }
    guard = createGuard({ ...options, resourceMetadata: METADATA })
    await guard.ready()
    url = await serve(guard)
  })
  after(async () => {
    guard.close()
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
    await peer.stop()
  })

  it('lets a live token through; the handler has its session', async () => {
    const response = await ask('/notes/7', await peer.token())
    assert.deepEqual([response.status, await response.json()], [200, { sub: 'ann', id: '7' }])
  })

  it('refuses none, a dead one, a foreign one: 401, the way to a new one, and nothing that a cache keeps', async () => {
    const dead = await peer.token({ sid: 'dead', jti: 'dead' })
    assert.equal((await ask('/notes/7', dead)).status, 200)
    peer.revoke({ sid: 'dead' })
    await until(async () => (await ask('/notes/7', dead)).status === 401)
    const foreign = await signToken(await makeKeys('k1'), { iss: peer.issuer })
    for (const token of [undefined, dead, foreign]) {
      const response = await ask('/notes/7', token)
      assert.equal(response.status, 401)
      const { code } = (await response.json()) as { code: string }
      assert.equal(code, 'AUTHENTICATION_FAILED')
      assert.equal(response.headers.get('cache-control'), 'no-store')
      const challenge = `${response.headers.get('www-authenticate')}`
      assert.ok(challenge.includes(`resource_metadata="${METADATA}"`), challenge)
      assert.equal(challenge.includes('error="invalid_token"'), token !== undefined, challenge)
    }
  })

  it('refuses two Authorization headers, of which one is good', async () => {
    const good = `Bearer ${await peer.token()}`
    const status = await new Promise((resolve, reject) => {
      const asking = request(`${url}/notes/7`, (res) => resolve(res.resume().statusCode))
      asking.setHeader('authorization', [good, 'Bearer other'])
      asking.on('error', reject).end()
    })
    assert.equal(status, 401)
  })

  it('asks for a scope with 403, for a newer sign-in with 401', async () => {
    const narrow = await ask('/delete', await peer.token())
    assert.equal(narrow.status, 403)
    assert.match(
      `${narrow.headers.get('www-authenticate')}`,
      /error="insufficient_scope", scope="notes:delete"/,
    )
    const now = Math.floor(Date.now() / 1000)
    const old = await ask('/pay', await peer.token({ jti: 'old', auth_time: now - 600 }))
    assert.equal(old.status, 401)
    assert.match(
      `${old.headers.get('www-authenticate')}`,
      /error="insufficient_user_authentication".*max_age="60"/,
    )
    assert.equal((await ask('/pay', await peer.token({ jti: 'new', auth_time: now }))).status, 200)
  })

  it('takes a DPoP proof for what the caller asked for, in a mounted router too', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const jwk = await exportJWK(publicKey)
    const token = await peer.token({ jti: 'bound', cnf: { jkt: await calculateJwkThumbprint(jwk) } })
    const ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(token))).toString('base64url')
    const statusFor = async (htu: string) => {
      const claims = { jti: crypto.randomUUID(), htm: 'GET', htu, ath, iat: Math.floor(Date.now() / 1000) }
      const header = { alg: 'ES256', typ: 'dpop+jwt', jwk }
      const dpop = await new SignJWT(claims).setProtectedHeader(header).sign(privateKey)
      return (await ask('/mounted/notes?page=2', token, { authorization: `DPoP ${token}`, dpop })).status
    }
    assert.equal(await statusFor(`${ORIGIN}/mounted/notes`), 200)
    assert.equal(await statusFor(`${ORIGIN}/notes`), 401)
  })

  it('aborts what is running when the session ends, and says why', async () => {
    const token = await peer.token({ sid: 'slow', jti: 'slow' })
    const before = signals.length
    const answer = ask('/slow', token)
    await until(() => signals.length > before)
    peer.revoke({ sid: 'slow', reason: 'device_removed' })
    assert.equal(await (await answer).json(), 'device_removed')
  })

  it('ends a stream that asked for its signal late, and says why', async () => {
    const token = await peer.token({ sid: 'stream', jti: 'stream' })
    const before = signals.length
    const response = await ask('/stream', token)
    const all = response.text()
    await until(() => signals.length > before)
    peer.revoke({ sid: 'stream', reason: 'token_reuse' })
    assert.match(await all, /^data: first\n\nevent: session-ended\ndata: token_reuse\n\n$/)
  })

  it('leaves no listener behind: with a body, without one, with a stream whose reader has gone', async () => {
    const token = await peer.token({ sid: 'many', jti: 'many' })
    const { signal } = await guard.check(token)
    for (let count = 0; count < 50; count++) await (await ask('/signal', token)).text()
    const head = { method: 'HEAD', headers: { authorization: `Bearer ${token}` } }
    for (let count = 0; count < 50; count++) assert.equal((await fetch(`${url}/signal`, head)).status, 200)
    for (let count = 0; count < 50; count++) assert.equal((await ask('/empty', token)).status, 204)
    for (let count = 0; count < 50; count++) assert.equal(await (await ask('/late', token)).text(), 'first')
    assert.equal(new Set(signals).size, signals.length)
    await until(() => getEventListeners(signal, 'abort').length === 0)
    const stream = await ask('/stream', token)
    await until(() => getEventListeners(signal, 'abort').length === 1)
    await stream.body?.cancel()
    await until(() => getEventListeners(signal, 'abort').length === 0)
    peer.revoke({ sid: 'many' })
    await until(() => signal.aborted)
    assert.equal(signals.at(-1)?.aborted, false)
  })

  it('answers 503 when it can’t tell, never 401 and never yes', async () => {
    const options = { issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS }
    const stale = createGuard({ ...options, maxStaleness: 300, onStale: 'deny' })
    await stale.ready()
    const address = await serve(stale)
    peer.feed = 'silent'
    await until(() => !stale.state().live)
    const headers = { authorization: `Bearer ${await peer.token()}` }
    const response = await fetch(`${address}/notes/7`, { headers })
    peer.feed = 'open'
    stale.close()
    assert.equal(response.status, 503)
    assert.equal(response.headers.get('retry-after'), '1')
    assert.equal(response.headers.get('www-authenticate'), null)
  })

  it('leaves what went wrong otherwise to the app’s onError', async () => {
    const response = await ask('/broken', await peer.token())
    assert.deepEqual([response.status, await response.text()], [500, 'broken'])
    assert.match(`${errors[0]}`, /no cookies today/)
  })

  it('imports nothing of Node', async () => {
    const source = await readFile(new URL('hono.ts', import.meta.url), 'utf8')
    const imports = [...source.matchAll(/^import (?!type )[^']*'([^']+)'/gm)].map(([, from]) => from)
    assert.deepEqual(imports, ['./errors.ts'])
  })
})
