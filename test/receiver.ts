import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/* What notices are sent to: an HTTP server that keeps what it got and answers as it is told. */

export type Received = { path: string; headers: Record<string, string>; body: string }
export type Receiver = {
  url: string
  port: number
  received: Received[]
  /** How the next requests are answered; 204 until it is set. */
  answer: (req: Received, res: ServerResponse) => void
  close(): Promise<void>
}

/** @param port where a receiver was before, for one that comes back */
export async function startReceiver(port = 0): Promise<Receiver> {
  const received: Received[] = []
  const server: Server = createServer((req, res) => void take(req, res))
  async function take(req: IncomingMessage, res: ServerResponse) {
    let body = ''
    for await (const chunk of req) body += chunk
    const one = { path: `${req.url}`, headers: req.headers as Record<string, string>, body }
    received.push(one)
    receiver.answer(one, res)
  }
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const own = (server.address() as AddressInfo).port
  const receiver: Receiver = {
    url: `http://127.0.0.1:${own}`,
    port: own,
    received,
    answer: (_req, res) => void res.writeHead(204).end(),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return receiver
}
