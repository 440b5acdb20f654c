import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'

export type RoundRobin = {
  /** Where requests go, in turn. */
  targets: number[]
  stop(): Promise<void>
}

/** A load balancer as small as can be: each request goes to the next one, whatever connection it came by. */
export async function startRoundRobin(port: number, targets: number[]): Promise<RoundRobin> {
  const agent = new Agent({ keepAlive: true })
  const balancer: RoundRobin = {
    targets,
    stop() {
      agent.destroy()
      for (const socket of open) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  const open = new Set<Socket>()
  let turn = 0
  const next = () => balancer.targets[turn++ % balancer.targets.length] as number

  function pass(req: IncomingMessage, res: ServerResponse) {
    const { method, url: path, rawHeaders: headers } = req
    const onward = request({ host: '127.0.0.1', port: next(), method, path, headers, agent }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders)
      answer.pipe(res)
      answer.on('error', () => res.destroy())
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.on('error', () => onward.destroy())
    req.pipe(onward)
  }
  const server = createServer({ requestTimeout: 0 }, pass)
  server.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
  })
  server.on('upgrade', (req, near: Socket, head) => {
    const lines = req.rawHeaders.flatMap((name, n) => (n % 2 ? [] : [`${name}: ${req.rawHeaders[n + 1]}`]))
    const far = connect(next(), '127.0.0.1', () => {
      far.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      far.write(head)
      far.pipe(near).pipe(far)
    })
    far.on('error', () => near.destroy())
    far.on('close', () => near.destroy())
    near.on('close', () => far.destroy())
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return balancer
}
