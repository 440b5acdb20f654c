// An API that trusts the authority's tokens: one guard, one protected route, one stream that ends with its session.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGuard, type Guard, type GuardedRequest, protect } from '@rescind/guard'
import { eventStream } from '@rescind/guard/events'

export type ExampleApiOptions = {
  /** 0 takes a free one. */
  port: number
  issuer: string
  /** This API's resource identifier. */
  audience: string
  credentials: { clientId: string; clientSecret: string }
  /** Web origins that may call it from a browser. */
  origins: string[]
}

export type ExampleApi = { url: string; close(): Promise<void> }

/** Starts the API on this machine; it answers once it knows every revocation. */
export async function startExampleApi(options: ExampleApiOptions): Promise<ExampleApi> {
  const { issuer, audience, credentials, origins } = options
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, '127.0.0.1', resolve)
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const resourceMetadata = `${url}/.well-known/oauth-protected-resource`
  const guard = createGuard({ issuer, audience, credentials, resourceMetadata })
  const needs = { scope: ['notes:read'], origin: url }
  const notes = protect(guard, sendNotes, needs)
  const events = protect(guard, (req, res) => streamEvents(guard, req, res), needs)

  server.on('request', (req, res) => {
    if (answerCors(req, res, origins)) return
    const pathname = req.url?.split('?', 1)[0]
    if (req.method === 'GET' && pathname === '/notes') return notes(req, res)
    if (req.method === 'GET' && pathname === '/events') return events(req, res)
    if (pathname === '/.well-known/oauth-protected-resource') {
      const metadata = { resource: audience, authorization_servers: [issuer], scopes_supported: needs.scope }
      return sendJson(res, 200, metadata)
    }
    return sendJson(res, 404, { error: 'There is nothing at this address.', code: 'NOT_FOUND' })
  })
  await guard.ready()
  return {
    url,
    close() {
      guard.close()
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function sendNotes({ session }: GuardedRequest, res: ServerResponse) {
  sendJson(res, 200, { for: session.sub, notes: ['Buy milk', 'Call the bank about the lost phone'] })
}

/** A stream lives as long as its session: it says why it ends, and then ends. */
function streamEvents(guard: Guard, { session }: GuardedRequest, res: ServerResponse) {
  const stream = eventStream(guard, session, res)
  let count = 0
  const tick = () => stream.send({ event: 'tick', data: JSON.stringify({ count: ++count }) })
  const timer = setInterval(tick, 1_000)
  stream.closed.then(() => clearInterval(timer))
  tick()
}

function sendJson(res: ServerResponse, status: number, body: unknown) {
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  res.end(JSON.stringify(body))
}

function answerCors(req: IncomingMessage, res: ServerResponse, origins: string[]): boolean {
  const { origin } = req.headers
  res.setHeader('vary', 'Origin')
  if (origin && origins.includes(origin)) {
    res.setHeader('access-control-allow-origin', origin)
    res.setHeader('access-control-expose-headers', 'WWW-Authenticate')
    res.setHeader('access-control-allow-headers', 'Authorization, DPoP')
    res.setHeader('access-control-max-age', '600')
  }
  if (req.method !== 'OPTIONS') return false
  res.writeHead(204).end()
  return true
}

if (import.meta.main) {
  const { ISSUER, AUDIENCE, CLIENT_ID, CLIENT_SECRET, PORT = '8080', ORIGINS = '' } = process.env
  if (!ISSUER || !AUDIENCE || !CLIENT_ID || !CLIENT_SECRET) {
    console.error('Set ISSUER, AUDIENCE, CLIENT_ID and CLIENT_SECRET (and PORT and ORIGINS, if you like).')
    process.exit(1)
  }
  const { url } = await startExampleApi({
    port: Number(PORT),
    issuer: ISSUER,
    audience: AUDIENCE,
    credentials: { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET },
    origins: ORIGINS.split(',').filter(Boolean),
  })
  console.log(`The notes are at ${url}/notes`)
}
