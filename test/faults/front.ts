import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'

/** For one process to begin its answer, in ms. */
const PATIENCE = 6_000

/**
 * What stands before the processes: requests go to the next one in turn, and to another one when that can’t be reached. What
 * may have been carried out is not sent again.
 */
export async function startFront(port: number, urls: readonly string[]): Promise<{ stop(): Promise<void> }> {
  let turn = 0

  function pass(req: IncomingMessage, res: ServerResponse, body: Buffer, triesLeft: number) {
    const target = new URL(req.url ?? '/', urls[turn++ % urls.length])
    const { method, headers } = req
    let answered = false
    const onward = request(target, { method, headers, timeout: PATIENCE }, (answer) => {
      answered = true
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.on('error', () => res.destroy())
      answer.pipe(res)
    })
    onward.on('timeout', () => onward.destroy(new Error('it takes too long')))
    onward.on('error', (error: NodeJS.ErrnoException) => {
      const again = method === 'GET' || error.code === 'ECONNREFUSED'
      if (!answered && again && triesLeft > 0) return pass(req, res, body, triesLeft - 1)
      if (res.headersSent) return res.destroy()
      res.writeHead(502).end()
    })
    onward.end(body)
  }
  const server = createServer(async (req, res) => {
    const pieces: Buffer[] = []
    req.on('error', () => {})
    res.on('error', () => {})
    try {
      for await (const piece of req) pieces.push(piece)
      pass(req, res, Buffer.concat(pieces), 2 * urls.length)
    } catch {
      res.destroy()
    }
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    stop() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
