import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { openGuardSocket } from './guard-socket.ts'

describe('a guard that asks whether it has everything', () => {
  const server = createServer()
  const sockets = new WebSocketServer({ noServer: true, autoPong: false })
  let caughtUp: () => Promise<void> = async () => {}
  server.on('upgrade', (req, wire, head) =>
    sockets.handleUpgrade(req, wire, head, (socket) =>
      openGuardSocket(socket, wire, {
        ...{ address: '', agent: '', now: 0, newest: () => 0, caughtUp: () => caughtUp() },
        ...{ onAcknowledged: () => {}, onSeen: () => {}, onClose: () => {} },
      }),
    ),
  )
  before(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
  after(() => server.close())

  async function open() {
    const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    await once(socket, 'open')
    return socket
  }

  it('is answered later, when it could not be said at once: it asks once and waits', async () => {
    let tries = 0
    caughtUp = async () => {
      if (++tries < 3) throw new Error('the database can’t be reached')
    }
    const guard = await open()
    guard.ping('first')
    const [data] = await once(guard, 'pong')
    assert.equal(`${data}`, 'first')
    assert.equal(tries, 3)
    guard.ping('second')
    assert.equal(`${await once(guard, 'pong')}`, 'second')
    guard.terminate()
  })

  it('is not answered by what was known before it asked', async () => {
    const waiting: (() => void)[] = []
    caughtUp = () => new Promise((resolve) => waiting.push(resolve))
    const guard = await open()
    const pongs: string[] = []
    guard.on('pong', (data) => pongs.push(`${data}`))
    guard.ping('first')
    while (waiting.length < 1) await new Promise((resolve) => setTimeout(resolve, 5))
    guard.ping('second')
    await new Promise((resolve) => setTimeout(resolve, 50))
    waiting[0]?.()
    while (waiting.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual(pongs, ['first'])
    waiting[1]?.()
    await once(guard, 'pong')
    assert.deepEqual(pongs, ['first', 'second'])
    guard.terminate()
  })
})
