import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:http2'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { AUDIENCE, CREDENTIALS, makeKeys, type Peer, signToken, startPeer, until } from '../test/peer.ts'
import { requireSession } from './fastify.ts'
import { createGuard, type Guard } from './guard.ts'
import type { GuardSession } from './judge.ts'

const METADATA = 'https://api.example/.well-known/oauth-protected-resource'
const ORIGIN = 'https://api.example'

describe('requireSession in Fastify', () => {
  let peer: Peer
  let guard: Guard
  let url: string
  const apps: FastifyInstance[] = []
  const signals: AbortSignal[] = []
  const errors: unknown[] = []

  async function serve(guard: Guard): Promise<string> {
    const app = Fastify({ rewriteUrl: ({ url }) => `${url}`.replace('/mounted', '') })
    apps.push(app)
    type Note = { Params: { id: string } }
    app.get<Note>(
      '/notes/:id',
      { onRequest: requireSession(guard, { scope: ['notes:read'] }) },
      async (request) => {
        const { sub }: GuardSession = request.session
        return { sub, id: request.params.id }
      },
    )
    const open = async () => 'ok'
    app.get('/delete', { preHandler: requireSession(guard, { scope: ['notes:delete'] }) }, open)
    app.get('/pay', { onRequest: requireSession(guard, { maxAge: 60 }) }, open)
    app.get('/notes', { onRequest: requireSession(guard, { origin: ORIGIN }) }, open)
    app.get('/signal', { onRequest: requireSession(guard) }, async ({ session }) => {
      signals.push(session.signal)
      return 'done'
    })
    app.get('/slow', { onRequest: requireSession(guard) }, async ({ session: { signal } }) => {
      signals.push(signal)
      await once(signal, 'abort')
      return JSON.stringify(signal.reason.reason)
    })
    const token = () => {
      throw new Error('no cookies today')
    }
    app.get('/broken', { onRequest: requireSession(guard, { token }) }, open)
    app.setErrorHandler((error, _request, reply) => {
      errors.push(error)
      return reply.code(500).send('broken')
    })
    return app.listen({ port: 0, host: '127.0.0.1' })
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
    for (const app of apps) {
      app.server.closeAllConnections()
      await app.close()
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

  it('takes a DPoP proof for what the caller asked for, behind a rewritten path too', async () => {
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

  it('leaves no listener behind', async () => {
    const token = await peer.token({ sid: 'many', jti: 'many' })
    for (let count = 0; count < 50; count++) await (await ask('/signal', token)).text()
    const { signal } = await guard.check(token)
    assert.equal(new Set(signals).size, signals.length)
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

  it('is the same over HTTP/2', async () => {
    const app = Fastify({ http2: true })
    app.get('/', { onRequest: requireSession(guard) }, async ({ session }) => {
      signals.push(session.signal)
      return session.sub
    })
    const caller = connect(await app.listen({ port: 0, host: '127.0.0.1' }))
    const answerFor = async (headers: Record<string, string>) => {
      const stream = caller.request({ ':path': '/', ...headers })
      const [head] = await once(stream, 'response')
      return [head[':status'], await text(stream)] as const
    }
    const token = await peer.token({ jti: 'http2' })
    assert.deepEqual(await answerFor({ authorization: `Bearer ${token}` }), [200, 'ann'])
    assert.equal((await answerFor({}))[0], 401)
    const { signal } = await guard.check(token)
    await until(() => getEventListeners(signal, 'abort').length === 0)
    caller.close()
    await app.close()
  })

  it('leaves what went wrong otherwise to the error handler of the app', async () => {
    const response = await ask('/broken', await peer.token())
    assert.deepEqual([response.status, await response.text()], [500, 'broken'])
    assert.match(`${errors[0]}`, /no cookies today/)
  })
})
