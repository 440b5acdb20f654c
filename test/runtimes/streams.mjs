// What is open when a session ends: a WebSocket and a stream of events, on whatever runtime runs this.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { eventStream } from '@rescind/guard/events'
import { guardUpgrade } from '@rescind/guard/websocket'
import { WebSocket, WebSocketServer } from 'ws'
import { until } from './world.mjs'

async function listening(server) {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server.address().port
}

function stop(server) {
  server.closeAllConnections()
  server.close()
}

export async function closesWebSockets(guard, world) {
  const server = createServer()
  const sockets = new WebSocketServer({ noServer: true })
  const echo = (socket, session) => socket.on('message', (data) => socket.send(`${session.sid}: ${data}`))
  server.on('upgrade', guardUpgrade(guard, sockets, echo, { scope: ['notes:read'] }))
  const port = await listening(server)
  const token = await world.token()
  const open = () =>
    new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { authorization: `Bearer ${token.text}` } })
  try {
    const socket = open()
    const heard = []
    socket.on('message', (data) => heard.push(`${data}`))
    socket.on('close', (code, reason) => heard.push(`${code} ${reason}`))
    await once(socket, 'open')
    socket.send('hello')
    await until('the socket answers', () => heard.length === 1)
    await world.revoke(token, { reason: 'device_removed' })
    await until('the socket closes', () => heard.length === 2)
    assert.deepEqual(heard, [`${token.sid}: hello`, '4401 device_removed'])
    const refused = open()
    refused.on('error', () => {})
    const [, response] = await once(refused, 'unexpected-response')
    assert.equal(response.statusCode, 401)
    assert.match(response.headers['www-authenticate'], /^Bearer error="invalid_token"/)
    refused.terminate()
  } finally {
    for (const socket of sockets.clients) socket.terminate()
    stop(server)
  }
}

export async function endsEventStreams(guard, world) {
  const token = await world.token()
  const session = await guard.check(token.text)
  const server = createServer((_, res) =>
    eventStream(guard, session, res).send({ event: 'hello', data: 'one' }),
  )
  const port = await listening(server)
  try {
    let body = ''
    const request = get({ port, host: '127.0.0.1', agent: false }, (response) =>
      response.on('data', (chunk) => {
        body += chunk
      }),
    )
    const closed = new Promise((resolve) => request.on('close', resolve))
    await until('the stream begins', () => body !== '')
    await world.revoke(token)
    await closed
    assert.equal(body, 'event: hello\ndata: one\n\nevent: session-ended\ndata: {"reason":"user_logout"}\n\n')
    assert.equal(guard.connections.size, 0)
  } finally {
    stop(server)
  }
}
