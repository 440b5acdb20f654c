import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Authority } from './authority.ts'
import { upgradeEndpoint } from './feed/upgrade.ts'
import { type Metrics, serveMetrics } from './metrics.ts'

/** Idle connections are kept for longer than proxies keep theirs: whoever closes first loses what is on its way. */
const KEEP = { keepAliveTimeout: 75_000, connectionsCheckingInterval: 2_000 }
/** A request that is not sent whole by then is cut off; looked at every two seconds. */
const LIMITS = { requestTimeout: 30_000, headersTimeout: 10_000, ...KEEP }
/** What is being served has this long to end once nothing new is taken, in ms. */
const PATIENCE = 5_000

/** The ports of an authority. */
export type Serving = {
  port: number
  /**
   * Takes no more connections; what is being served may finish, and is the last on its connection.
   * @param options.linger connections that are idle are closed after this time, in ms, so that a request that is on its way
   *   on one is still served
   * @param options.closed is called as soon as nobody can connect any more
   */
  stop(options: { linger: number; closed: () => void }): Promise<void>
}

/** Listens on all ports of the configuration, or on none of them. */
export async function openPorts(authority: Authority, metrics: Metrics): Promise<Serving> {
  const { config, health } = authority
  const operators = config.metrics && (await serveMetrics(metrics, health, config.metrics))
  const answers = createAnswers((req, res) => authority.listener(req, res))
  try {
    const server = await listen(authority, answers.listener)
    return {
      port: (server.address() as AddressInfo).port,
      async stop({ linger, closed }) {
        // Whoever is told to connect anew before that would do so just when the port is closed, and be cut off.
        await drain(server, linger, () => {
          answers.last()
          closed()
        })
        operators?.close()
      },
    }
  } catch (error) {
    operators?.close()
    throw error
  }
}

async function listen(authority: Authority, listener: RequestListener): Promise<Server> {
  const { config } = authority
  const server = createServer(LIMITS, listener)
  server.on('upgrade', (req, socket, head) => void upgradeEndpoint(authority, req, socket, head))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.port, config.host, resolve)
  })
  return server
}

/** Knows the answers that are not sent yet, so that they too can say that they are the last. */
function createAnswers(serve: RequestListener) {
  const open = new Set<ServerResponse>()
  let leaving = false
  const isLast = (res: ServerResponse) => res.headersSent || res.setHeader('connection', 'close')
  const listener: RequestListener = (req, res) => {
    open.add(res)
    res.once('close', () => open.delete(res))
    if (leaving) isLast(res)
    serve(req, res)
  }
  function last() {
    leaving = true
    for (const res of open) isLast(res)
  }
  return { listener, last }
}

async function drain(server: Server, linger: number, closed: () => void): Promise<void> {
  // Right after the turn in which connections were taken, as few as can be wait to be: those would be reset.
  await nextTurn()
  // An HTTP server would close what is idle at once; the one beneath it leaves it alone.
  const over = new Promise((resolve) => NetServer.prototype.close.call(server, resolve))
  closed()
  const began = performance.now()
  const idle = setInterval(() => {
    if (performance.now() - began >= linger) server.closeIdleConnections()
  }, 20)
  if (linger === 0) server.closeIdleConnections()
  const patience = setTimeout(() => server.closeAllConnections(), PATIENCE)
  await over
  clearInterval(idle)
  clearTimeout(patience)
}
