import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { AUDIENCE, CREDENTIALS, type Peer, startPeer, until } from '../test/peer.ts'
import { createGuard, type Guard } from './guard.ts'
import type { GuardSession } from './judge.ts'
import { closeWithSession, guardUpgrade } from './websocket.ts'

const METADATA = 'https://api.example/.well-known/oauth-protected-resource'

/** A text frame of a client, masked with zeros. */
const frame = (said: string) =>
  Buffer.concat([Buffer.from([0x81, 0x80 | said.length, 0, 0, 0, 0]), Buffer.from(said)])

describe('a guarded WebSocket', () => {
  let peer: Peer
  let guard: Guard
  let server: Server
  let port: number
  let opened: { socket: WebSocket; session: GuardSession; url?: string }[]
  let emitted: unknown[][]
  let heard: string[]
  let errors: unknown[]

  type Handler = (socket: WebSocket, session: GuardSession, req: IncomingMessage) => unknown
  const keep: Handler = (socket, session, req) => {
    opened.push({ socket, session, url: req.url })
    socket.on('message', (data) => heard.push(`${data}`))
  }
  async function serve(options: Parameters<typeof guardUpgrade>[3] = {}, handler = keep, by = guard) {
    const sockets = new WebSocketServer({ noServer: true })
    sockets.on('connection', (...all) => emitted.push(all))
    server = createServer()
    const onError = (error: unknown) => errors.push(error)
    server.on('upgrade', guardUpgrade(by, sockets, handler, { onError, ...options }))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  }
  const open = (token?: string, path = '/') =>
    new WebSocket(`ws://127.0.0.1:${port}${path}`, {
      headers: token ? { authorization: `Bearer ${token}` } : {},
    })
  /** A client that answers nothing, and says what it is told to. */
  async function rawClient(token: string): Promise<Socket> {
    const socket = connect(port, '127.0.0.1')
    const lines = ['GET / HTTP/1.1', 'Host: api', 'Connection: Upgrade', 'Upgrade: websocket']
    lines.push('Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`)
    socket.write(`${[...lines, `Authorization: Bearer ${token}`].join('\r\n')}\r\n\r\n`)
    socket.on('error', () => {})
    return socket
  }
  async function refusal(socket: WebSocket) {
    const [, res] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
    const { code } = JSON.parse(await text(res)) as { code: string }
    await until(() => res.socket?.destroyed)
    return { status: res.statusCode, code, challenge: res.headers['www-authenticate'] }
  }

  before(async () => {
    peer = await startPeer()
    const options = { issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS }
    guard = createGuard({ ...options, resourceMetadata: METADATA })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await peer.stop()
  })
  beforeEach(() => {
    opened = []
    emitted = []
    heard = []
    errors = []
  })
  afterEach(async () => {
    for (const { socket } of opened) socket.terminate()
    server.closeAllConnections()
    server.close()
    await until(() => guard.connections.size === 0)
  })

  it('opens with a live token; the handler and `connection` get socket, session and request', async () => {
    await serve({ scope: ['notes:read'] })
    const socket = open(await peer.token(), '/chat?room=7')
    await once(socket, 'open')
    socket.send('hello')
    await until(() => heard.length === 1)
    assert.deepEqual([opened[0]?.session.sub, opened[0]?.url, heard], ['ann', '/chat?room=7', ['hello']])
    const [same, req, session] = emitted[0] ?? []
    assert.equal(same, opened[0]?.socket)
    assert.equal((req as IncomingMessage).url, '/chat?room=7')
    assert.equal(session, opened[0]?.session)
    assert.equal(guard.connections.size, 1)
  })

  it('is refused as HTTP, with the way to a token, and the connection closed', async () => {
    await serve({ scope: ['notes:read'], maxAge: 60 })
    const now = Math.floor(Date.now() / 1000)
    const dead = await peer.token({ sid: 'dead', jti: 'dead', auth_time: now })
    await guard.check(dead)
    peer.revoke({ sid: 'dead' })
    await until(() =>
      guard.check(dead).then(
        () => false,
        () => true,
      ),
    )
    const none = await refusal(open())
    assert.deepEqual(none, {
      ...{ status: 401, code: 'AUTHENTICATION_FAILED', challenge: `Bearer resource_metadata="${METADATA}"` },
    })
    const ended = await refusal(open(dead))
    assert.deepEqual([ended.status, ended.code], [401, 'AUTHENTICATION_FAILED'])
    assert.match(`${ended.challenge}`, /error="invalid_token".*resource_metadata="/)
    const two = `${await peer.token({ jti: 'two', auth_time: now })}`
    assert.equal((await refusal(open(`${two}, Bearer other`))).status, 401)
    const narrow = await refusal(open(await peer.token({ jti: 'narrow', auth_time: now, scope: 'other' })))
    assert.deepEqual([narrow.status, narrow.code], [403, 'INSUFFICIENT_SCOPE'])
    const old = await refusal(open(await peer.token({ jti: 'old', auth_time: now - 600 })))
    assert.deepEqual([old.status, old.code], [401, 'INSUFFICIENT_USER_AUTHENTICATION'])
    // A caller who would leave the connection open.
    const staying = await rawClient('nonsense')
    await until(() => staying.resume().readableEnded)
    assert.deepEqual([opened, emitted, errors], [[], [], []])
  })

  it('hears nothing after the end, not even with listeners that come later', async () => {
    await serve()
    const socket = await rawClient(await peer.token({ sid: 'late', jti: 'late' }))
    await until(() => opened.length === 1)
    peer.revoke({ sid: 'late' })
    await until(() => opened[0]?.socket.readyState !== 1)
    const late: string[] = []
    opened[0]?.socket.on('message', (data) => late.push(`${data}`))
    // Masked with zeros, as a client may: a text frame that says "x".
    socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x78]))
    await until(() => socket.resume().destroyed || socket.readableEnded)
    assert.deepEqual(late, [])
  })

  it('closes with 4401 and the reason when its session ends, and no other does', async () => {
    await serve()
    const ending = open(await peer.token({ sid: 'ends', jti: 'ends' }))
    const other = open(await peer.token({ sid: 'lives', jti: 'lives' }))
    await Promise.all([once(ending, 'open'), once(other, 'open')])
    const began = Date.now()
    peer.revoke({ sid: 'ends', reason: 'account_compromise' })
    const [code, reason] = await once(ending, 'close')
    assert.deepEqual([code, `${reason}`], [4401, 'account_compromise'])
    assert.ok(Date.now() - began < 2_000)
    assert.equal(other.readyState, WebSocket.OPEN)
    assert.equal((await refusal(open(await peer.token({ sid: 'ends', jti: 'ends' })))).status, 401)
  })

  it('says as much of a long reason as a close frame has room for', async () => {
    await serve()
    const socket = open(await peer.token({ sid: 'long', jti: 'long' }))
    await once(socket, 'open')
    peer.revoke({ sid: 'long', reason: `x${'ü'.repeat(100)}` })
    const [code, reason] = await once(socket, 'close')
    assert.deepEqual([code, `${reason}`], [4401, `x${'ü'.repeat(61)}`])
  })

  it('leaves nothing behind when it closes by itself', async () => {
    await serve({}, (socket, session) => {
      opened.push({ socket, session })
      session.signal.addEventListener('abort', () => socket.send('never'))
    })
    const token = await peer.token({ sid: 'self', jti: 'self' })
    const socket = open(token)
    await once(socket, 'open')
    const { signal } = await guard.check(token)
    assert.deepEqual([guard.connections.size, getEventListeners(signal, 'abort').length], [1, 1])
    socket.close()
    await until(() => guard.connections.size === 0 && getEventListeners(signal, 'abort').length === 0)
    const closed = opened[0]?.socket as WebSocket
    closeWithSession(guard, await guard.check(token), closed)
    assert.equal(guard.connections.size, 0)
  })

  it('hears nothing more of a peer that goes on talking after the end, and cuts it off', async () => {
    await serve()
    const socket = await rawClient(await peer.token({ sid: 'deaf', jti: 'deaf' }))
    await until(() => opened.length === 1)
    socket.write(frame('before'))
    await until(() => heard.length === 1)
    peer.revoke({ sid: 'deaf' })
    await until(() => opened[0]?.socket.readyState === WebSocket.CLOSING)
    socket.write(frame('after'))
    const began = Date.now()
    socket.resume()
    await once(socket, 'close')
    assert.ok(Date.now() - began < 5_000)
    assert.deepEqual(heard, ['before'])
  })

  it('does not survive a revocation between check and handshake', async () => {
    const slow: Guard = {
      ...guard,
      async checkRequest(request, needs) {
        const session = await guard.checkRequest(request, needs)
        peer.revoke({ sid: 'raced', reason: 'admin_forced' })
        await until(() => session.signal.aborted)
        return session
      },
    }
    await serve({}, keep, slow)
    const socket = open(await peer.token({ sid: 'raced', jti: 'raced' }))
    const [code, reason] = await once(socket, 'close')
    assert.deepEqual([code, `${reason}`], [4401, 'admin_forced'])
    assert.deepEqual([opened, emitted], [[], []])
  })

  it('outlives callers who hang up while their token is checked, and who send nonsense', async () => {
    let checked = 0
    let meanwhile = async () => {}
    const slow: Guard = {
      ...guard,
      async checkRequest(request, needs) {
        await meanwhile()
        return guard.checkRequest(request, needs).finally(() => checked++)
      },
    }
    await serve({}, keep, slow)
    const sockets: Socket[] = []
    server.on('connection', (socket) => sockets.push(socket))
    const good = await peer.token()
    for (const token of [good, 'bad']) {
      const caller = await rawClient(token)
      meanwhile = async () => {
        caller.resetAndDestroy()
        await until(() => sockets.at(-1)?.destroyed)
      }
      const before = checked
      await until(() => checked > before)
    }
    meanwhile = async () => {}
    assert.deepEqual(opened, [])
    const caller = await rawClient(good)
    await until(() => opened.length === 1)
    caller.resume().write(Buffer.alloc(64, 0xff))
    await once(caller, 'close')
    await once(open(good), 'open')
    assert.deepEqual(errors, [])
  })

  it('takes a token from where it is told; what goes wrong is heard, and closes', async () => {
    const token = await peer.token()
    await serve({ token: (req) => /token=(.+)/.exec(`${req.headers.cookie}`)?.[1] })
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { headers: { cookie: `token=${token}` } })
    await once(socket, 'open')
    server.close()
    const thrown = new Error('the handler failed')
    const failing = async () => {
      throw thrown
    }
    await serve({}, failing)
    await once(open(token), 'close')
    assert.deepEqual(errors, [thrown])
  })
})
