import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import { eventStream } from '../packages/guard/src/events.ts'
import { createGuard, protect } from '../packages/guard/src/index.ts'
import { guardUpgrade } from '../packages/guard/src/websocket.ts'
import { API, API_GUARD } from './setup.ts'

/** How what was open for a session came to its end, each in the words that its client heard. */
export type Open = { socket: Promise<string>; stream: Promise<string>; request: Promise<string> }

export type GuardedApi = {
  /** Opens a WebSocket, an event stream and a request that takes for ever. */
  open(accessToken: string): Promise<Open>
  /** The status that a plain request gets. */
  ask(accessToken: string): Promise<number>
  close(): Promise<void>
}

/** An API behind a guard, with all that can be open when a session ends. */
export async function startGuardedApi(issuer: string): Promise<GuardedApi> {
  const guard = createGuard({ issuer, audience: API, credentials: API_GUARD })
  await guard.ready()
  let working = () => {}
  const serve = protect(guard, (req, res) => {
    if (req.url === '/events') return void eventStream(guard, req.session, res).send({ data: 'hello' })
    if (req.url !== '/slow') return void res.end('here you are')
    working()
    req.session.signal.addEventListener('abort', () => res.end(`${req.session.signal.reason}`))
  })
  const server = createServer(serve)
  const sockets = new WebSocketServer({ noServer: true })
  server.on(
    'upgrade',
    guardUpgrade(guard, sockets, (socket) => socket.send('hello')),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    async open(accessToken) {
      const headers = { authorization: `Bearer ${accessToken}` }
      const socket = new WebSocket(url.replace('http', 'ws'), { headers })
      await new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject))
      const began = new Promise<void>((resolve) => (working = resolve))
      const request = fetch(`${url}/slow`, { headers }).then((response) => response.text())
      request.catch(() => {})
      await began
      const stream = await fetch(`${url}/events`, { headers })
      const events = stream.text()
      events.catch(() => {})
      return {
        socket: new Promise((resolve) =>
          socket.once('close', (code, reason) => resolve(`${code} ${reason}`)),
        ),
        stream: events,
        request,
      }
    },
    ask: async (accessToken) =>
      (await fetch(url, { headers: { authorization: `Bearer ${accessToken}` } })).status,
    async close() {
      guard.close()
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
