import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { AUDIENCE, CREDENTIALS, type Peer, startPeer, until } from '../test/peer.ts'
import { GuardError } from './errors.ts'
import { createGuard, type Guard } from './guard.ts'
import { protect } from './http.ts'

describe('a protected handler', () => {
  let peer: Peer
  let guard: Guard
  let server: Server | undefined

  async function serve(listener: RequestListener): Promise<string> {
    const started = createServer(listener)
    server = started
    await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(started.address() as AddressInfo).port}`
  }
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

  before(async () => {
    peer = await startPeer()
    guard = createGuard({ issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await peer.stop()
  })
  afterEach(() => {
    server?.closeAllConnections()
    server?.close()
  })

  it('sees the live session', async () => {
    const url = await serve(
      protect(guard, ({ session }, res) => res.end(session.sub), { scope: ['notes:read'] }),
    )
    const response = await fetch(url, bearer(await peer.token()))
    assert.deepEqual([response.status, await response.text()], [200, 'ann'])
  })

  it('is not reached otherwise; the answer says what to do, and no cache keeps it', async () => {
    let reached = 0
    const url = await serve(protect(guard, (_, res) => res.end(`${++reached}`), { scope: ['notes:delete'] }))
    const none = await fetch(url)
    assert.equal(none.status, 401)
    assert.deepEqual(
      ['www-authenticate', 'content-type', 'cache-control'].map((name) => none.headers.get(name)),
      ['Bearer', 'application/json', 'no-store'],
    )
    assert.deepEqual(await none.json(), {
      error: 'This request needs an access token.',
      code: 'AUTHENTICATION_FAILED',
    })
    const narrow = await fetch(url, bearer(await peer.token()))
    assert.equal(narrow.status, 403)
    assert.equal(((await narrow.json()) as { code: string }).code, 'INSUFFICIENT_SCOPE')
    assert.equal(reached, 0)
  })

  it('is not reached with two Authorization headers, of which one is good', async () => {
    let reached = 0
    const url = await serve(protect(guard, (_, res) => res.end(`${++reached}`)))
    const authorization = [`Bearer ${await peer.token()}`, 'Bearer other']
    const status = await new Promise((resolve, reject) => {
      const asking = request(url, (res) => resolve(res.resume().statusCode))
      asking.setHeader('authorization', authorization)
      asking.on('error', reject).end()
    })
    assert.deepEqual([status, reached], [401, 0])
  })

  it('takes DPoP proofs for its own origin, whatever Host says', async () => {
    const origin = 'https://api.example'
    const url = await serve(protect(guard, (_, res) => res.end('ok'), { origin }))
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const jwk = await exportJWK(publicKey)
    const token = await peer.token({ jti: 'bound', cnf: { jkt: await calculateJwkThumbprint(jwk) } })
    const ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(token))).toString('base64url')
    const ask = async (htu: string) => {
      const iat = Math.floor(Date.now() / 1000)
      const proof = await new SignJWT({ jti: crypto.randomUUID(), htm: 'GET', htu, ath, iat })
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
        .sign(privateKey)
      const response = await fetch(`${url}/notes?page=2`, {
        headers: { authorization: `DPoP ${token}`, dpop: proof },
      })
      return response.status
    }
    assert.equal(await ask(`${origin}/notes`), 200)
    assert.equal(await ask(`${url}/notes`), 401)
  })

  it('takes a token from where it is told to look, and from there only when the header has none', async () => {
    const token = (req: IncomingMessage) => /(?:^|; )at=([^;]*)/.exec(req.headers.cookie ?? '')?.[1]
    const url = await serve(protect(guard, ({ session }, res) => res.end(session.sub), { token }))
    const [good, live] = [await peer.token(), bearer(await peer.token())]
    const status = async (headers: Record<string, string>) => (await fetch(url, { headers })).status
    assert.equal(await status({ cookie: `at=${good}` }), 200)
    for (const cookie of ['', 'at=', 'at=x', `at=${good} x`, `at="${good}"`, `other=${good}`])
      assert.equal(await status({ cookie }), 401, cookie.slice(0, 5))
    assert.equal(await status({ cookie: `at=${good}`, authorization: 'Bearer x' }), 401)
    assert.equal(await status({ cookie: `at=${good}`, authorization: 'Basic eDp5' }), 401)
    assert.equal(await status({ cookie: 'at=x', ...live.headers }), 200)
    const bound = await peer.token({ jti: 'cookie', cnf: { jkt: 'x' } })
    assert.equal(await status({ cookie: `at=${bound}` }), 401, 'a bound one is nothing without its proof')
  })

  it('is told which better sign-in is needed', async () => {
    const url = await serve(protect(guard, (_, res) => res.end('ok'), { acrValues: ['mfa'], maxAge: 60 }))
    const response = await fetch(url, bearer(await peer.token()))
    assert.equal(response.status, 401)
    assert.match(`${response.headers.get('www-authenticate')}`, /acr_values="mfa", max_age="60"/)
    assert.equal(((await response.json()) as { code: string }).code, 'INSUFFICIENT_USER_AUTHENTICATION')
  })

  it('gets 500 for what it throws, which its owner hears and its caller does not', async () => {
    const heard: unknown[] = []
    const thrown = new Error('the password is 1234')
    const failing = async () => {
      throw thrown
    }
    const url = await serve(protect(guard, failing, { onError: (error) => heard.push(error) }))
    const response = await fetch(url, bearer(await peer.token()))
    assert.equal(response.status, 500)
    assert.doesNotMatch(await response.text(), /1234/)
    assert.deepEqual(heard, [thrown])
  })

  it('may refuse by itself with a GuardError, and is cut off when it fails half way', async () => {
    const url = await serve(
      protect(guard, (req, res) => {
        if (req.url === '/half') res.write('half')
        throw new GuardError('INSUFFICIENT_SCOPE', 'Not yours.')
      }),
    )
    const token = bearer(await peer.token())
    const response = await fetch(url, token)
    assert.deepEqual(
      [response.status, await response.json()],
      [403, { error: 'Not yours.', code: 'INSUFFICIENT_SCOPE' }],
    )
    await assert.rejects(fetch(`${url}/half`, token).then((half) => half.text()))
  })

  it('hears of its session’s end for as long as its response is open, and not after', async () => {
    const signals: AbortSignal[] = []
    const url = await serve(
      protect(guard, (req, res) => {
        signals.push(req.session.signal)
        if (req.url === '/stream') res.write('open')
        else res.end('done')
      }),
    )
    const token = bearer(await peer.token({ sid: 'streams', jti: 'stream' }))
    await (await fetch(url, token)).text()
    const stream = await fetch(`${url}/stream`, token)
    const [closed, open] = signals
    // The server hears of the end of an answer a moment after its caller.
    await new Promise((resolve) => setTimeout(resolve, 50))
    peer.revoke({ sid: 'streams', reason: 'device_removed' })
    await until(() => open?.aborted)
    assert.equal(open?.reason.reason, 'device_removed')
    assert.equal(closed?.aborted, false)
    await stream.body?.cancel()
  })

  it('hears of an end that came while its token was checked, and leaves nothing behind for who hung up', async () => {
    let shared: AbortSignal | undefined
    let meanwhile = async () => {}
    // The real guard, with something happening between its answer and the handler.
    const slow: Guard = {
      ...guard,
      async checkRequest(request) {
        const session = await guard.checkRequest(request)
        shared = session.signal
        await meanwhile()
        return session
      },
    }
    const ended: boolean[] = []
    const listener = protect(slow, ({ session }, res) => {
      ended.push(session.signal.aborted)
      res.end()
    })
    const closed: Promise<unknown>[] = []
    const url = await serve((req, res) => {
      closed.push(once(res, 'close'))
      return listener(req, res)
    })
    const token = bearer(await peer.token({ sid: 'slow', jti: 'slow' }))
    const leaving = new AbortController()
    meanwhile = async () => {
      leaving.abort()
      await closed[0]
    }
    await assert.rejects(fetch(url, { ...token, signal: leaving.signal }))
    await until(() => ended.length === 1)
    assert.equal(getEventListeners(shared as AbortSignal, 'abort').length, 0)
    meanwhile = async () => {
      peer.revoke({ sid: 'slow' })
      await until(() => shared?.aborted)
    }
    await fetch(url, token)
    assert.deepEqual(ended, [false, true])
  })
})
