import { createServer, request } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'

/**
 * Stands between guards and their authority and delivers the feed badly: every message twice, and each pair of them in
 * the wrong order. Everything else passes.
 * @param target the authority’s port
 */
export async function startUnrulyProxy(target: number, port: number): Promise<{ stop(): Promise<void> }> {
  const server = createServer((req, res) => {
    const { method, url, headers } = req
    const onward = request({ host: '127.0.0.1', port: target, method, path: url, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
    })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (req, socket, head) => {
    socket.on('error', () => {})
    const { host = '', authorization = '' } = req.headers
    const far = new WebSocket(`ws://127.0.0.1:${target}${req.url}`, { headers: { host, authorization } })
    far.on('error', () => socket.destroy())
    far.on('open', () => sockets.handleUpgrade(req, socket, head, (near) => join(near, far)))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    stop() {
      for (const near of sockets.clients) near.terminate()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function join(near: WebSocket, far: WebSocket) {
  let kept: string[] = []
  const flush = () => {
    for (const line of kept.reverse()) {
      near.send(line)
      near.send(line)
    }
    kept = []
  }
  far.on('message', (data) => {
    for (const line of data.toString().split('\n')) {
      kept.push(line)
      if (kept.length === 2) flush()
    }
    setTimeout(flush, 30)
  })
  near.on('message', (data) => far.readyState === WebSocket.OPEN && far.send(data.toString()))
  near.on('close', () => far.terminate())
  far.on('close', () => near.terminate())
}
