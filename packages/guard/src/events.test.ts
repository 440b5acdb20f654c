import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import { AUDIENCE, CREDENTIALS, type Peer, startPeer, until } from '../test/peer.ts'
import { type EventStream, eventStream } from './events.ts'
import { createGuard, type Guard } from './guard.ts'
import { protect } from './http.ts'

describe('an event stream', () => {
  let peer: Peer
  let guard: Guard
  let server: Server
  let streams: EventStream[] = []
  let responses: ServerResponse[] = []
  let url: string
  let onOpen: () => unknown = () => {}

  before(async () => {
    peer = await startPeer()
    const options = { issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS }
    guard = createGuard({ ...options, expiryGrace: 0 })
    await guard.ready()
    const stream = protect(guard, async ({ session }, res) => {
      await onOpen()
      responses.push(res)
      streams.push(eventStream(guard, session, res))
    })
    server = createServer(stream)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  after(async () => {
    guard.close()
    server.closeAllConnections()
    server.close()
    await peer.stop()
  })
  afterEach(async () => {
    server.closeAllConnections()
    await until(() => guard.connections.size === 0)
    streams = []
    responses = []
    onOpen = () => {}
  })
  const listen = (token: string) =>
    fetch(url, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(10_000) })
  /** A caller who does not read. */
  const stall = (token: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const asking = request(url, { headers: { authorization: `Bearer ${token}` } }, resolve)
      asking.on('error', reject).end()
    })

  it('begins at once, in a way that nobody keeps or holds up', async () => {
    const response = await listen(await peer.token())
    assert.equal(response.status, 200)
    assert.deepEqual(
      ['content-type', 'cache-control', 'x-accel-buffering'].map((name) => response.headers.get(name)),
      ['text/event-stream', 'no-store', 'no'],
    )
  })

  it('sends events, and lets nobody put others into them', async () => {
    const response = await listen(await peer.token())
    const [stream] = streams
    stream?.send({ data: 'plain' })
    stream?.send({
      event: 'note\ndata: forged\n\n',
      id: '7\r\nevent: forged\0',
      data: 'one\r\n\ntwo\revent: forged',
    })
    stream?.close()
    stream?.send({ data: 'too late' })
    await stream?.closed
    assert.deepEqual((await response.text()).split('\n'), [
      ...['data: plain', ''],
      ...['event: note data: forged ', 'id: 7 event: forged '],
      ...['data: one', 'data: ', 'data: two', 'data: event: forged', '', ''],
    ])
    assert.equal(guard.connections.size, 0)
  })

  it('ends with the reason when its session ends; who comes back is refused', async () => {
    const token = await peer.token({ sid: 'ends', jti: 'ends' })
    const response = await listen(token)
    const began = Date.now()
    peer.revoke({ sid: 'ends', reason: 'password_change' })
    assert.equal(await response.text(), 'event: session-ended\ndata: {"reason":"password_change"}\n\n')
    assert.ok(Date.now() - began < 2_000)
    assert.equal((await listen(token)).status, 401)
    await streams[0]?.closed
  })

  it('ends at once when the session ended before it began', async () => {
    const token = await peer.token({ sid: 'raced', jti: 'raced' })
    const { signal } = await guard.check(token)
    onOpen = () => {
      peer.revoke({ sid: 'raced' })
      return until(() => signal.aborted)
    }
    assert.match(await (await listen(token)).text(), /^event: session-ended\n/)
  })

  it('says that the token has expired, when none was renewed', async () => {
    const now = Math.floor(Date.now() / 1000)
    const token = await peer.token({ sid: 'old', jti: 'old', iat: now, exp: now + 1 })
    const response = await listen(token)
    assert.equal(await response.text(), 'event: token-expired\ndata: {"reason":"token_expired"}\n\n')
  })

  it('cuts off who is more than 1 MiB behind, and no one who reads', async () => {
    const reading = await listen(await peer.token())
    const read = reading.text()
    const stalled = await stall(await peer.token())
    stalled.on('error', () => {})
    const [fast, slow] = streams
    const data = 'x'.repeat(100_000)
    let slowIsOver = false
    slow?.closed.then(() => {
      slowIsOver = true
    })
    let sent = 0
    await until(() => {
      fast?.send({ data })
      slow?.send({ data })
      sent++
      return slowIsOver
    })
    fast?.close()
    assert.equal((await read).length, sent * (data.length + 'data: \n\n'.length))
    assert.equal(guard.connections.size, 0)
  })

  it('waits for no one who does not read the last event', async () => {
    const stalled = await stall(await peer.token({ sid: 'stalled', jti: 'stalled' }))
    stalled.on('error', () => {})
    // More than the buffers of both ends, and less than it is cut off for.
    await until(() => {
      streams[0]?.send({ data: 'x'.repeat(100_000) })
      return (responses[0]?.writableLength ?? 0) > 300_000
    })
    peer.revoke({ sid: 'stalled' })
    await streams[0]?.closed
  })
})
