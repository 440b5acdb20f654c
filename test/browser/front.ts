import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'

/** What becomes of a request on its way to the authority. */
export type Fate =
  | 'pass'
  /** It never gets there: the connection breaks. */
  | 'drop'
  /** It never gets there, and nothing ever comes back. */
  | 'hang'
  /** It gets there, and the answer is lost. */
  | 'lose-answer'
  /** Somebody else answers; `cors: false` as something does that knows nothing of the app. */
  | { status: number; headers?: Record<string, string>; body?: string; cors?: boolean }

export type Seen = { method: string; path: string; status?: number }

/** Stands between browsers and the authority, as networks and proxies do. */
export type Front = {
  port: number
  seen: Seen[]
  /** Requests of this path that have come so far, preflights not counted. */
  count(path: string): number
  /** Decides on each request of a path (`*`: of every one), counted from 1. */
  when(path: string, decide: (nth: number) => Fate | Promise<Fate>): void
  /** Everything passes again. */
  mend(): void
  stop(): Promise<void>
}

export async function startFront(port: number, target: number): Promise<Front> {
  const seen: Seen[] = []
  const rules = new Map<string, { decide: (nth: number) => Fate | Promise<Fate>; nth: number }>()
  const pathOf = (req: IncomingMessage) => req.url?.split('?', 1)[0] ?? ''

  async function serve(req: IncomingMessage, res: ServerResponse) {
    const path = pathOf(req)
    const rule = rules.get(path) ?? rules.get('*')
    const preflight = req.method === 'OPTIONS'
    const entry: Seen = { method: `${req.method}`, path }
    seen.push(entry)
    if (rule && !preflight) rule.nth++
    const fate = rule
      ? await (preflight ? preflightFate(await rule.decide(rule.nth + 1)) : rule.decide(rule.nth))
      : 'pass'
    if (fate === 'hang') return
    if (fate === 'drop') return void req.socket.destroy()
    if (typeof fate === 'object') {
      const { origin = '*' } = req.headers
      const cors =
        fate.cors === false
          ? {}
          : { 'access-control-allow-origin': origin, 'access-control-expose-headers': '*, Retry-After' }
      req.resume()
      return void res.writeHead(fate.status, { ...cors, ...fate.headers }).end(fate.body)
    }
    const onward = request({
      host: '127.0.0.1',
      port: target,
      method: req.method,
      path: req.url,
      headers: req.headers,
    })
    onward.on('response', (answer) => {
      if (fate === 'lose-answer') return void answer.resume().on('end', () => req.socket.destroy())
      entry.status = answer.statusCode
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      res.flushHeaders()
      answer.pipe(res)
      answer.on('error', () => res.destroy())
    })
    onward.on('error', () => res.destroy())
    res.on('close', () => onward.destroy())
    req.pipe(onward)
  }

  const open = new Set<Socket>()
  const server = createServer((req, res) => {
    serve(req, res).catch(() => res.destroy())
  })
  server.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
  })
  server.on('upgrade', (req, near: Socket, head) => {
    const far = connect(target, '127.0.0.1', () => {
      const lines = req.rawHeaders.flatMap((name, n) => (n % 2 ? [] : [`${name}: ${req.rawHeaders[n + 1]}`]))
      far.write(`${req.method} ${req.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      far.write(head)
      far.pipe(near).pipe(far)
    })
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port,
    seen,
    count: (path) => seen.filter((one) => one.path === path && one.method !== 'OPTIONS').length,
    when: (path, decide) => void rules.set(path, { decide, nth: 0 }),
    mend: () => rules.clear(),
    stop() {
      for (const socket of open) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** Leave to ask is given, so that what is asked meets its fate; but a broken network gives none. */
function preflightFate(fate: Fate): Fate {
  return fate === 'drop' || fate === 'hang' ? fate : 'pass'
}
