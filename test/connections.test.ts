import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it, type TestContext } from 'node:test'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import type { Browser } from 'playwright-core'
import { WebSocket, WebSocketServer } from 'ws'
import { eventStream } from '../packages/guard/src/events.ts'
import { createGuard, type Guard, protect } from '../packages/guard/src/index.ts'
import { endWithSession } from '../packages/guard/src/mcp.ts'
import { guardUpgrade } from '../packages/guard/src/websocket.ts'
import { launchChromium } from './chromium.ts'
import { newClient } from './mcp-agent.ts'
import { API, API_GUARD, startTestAuthority, type TestAuthority } from './setup.ts'
import { post, signIn, type Tokens } from './sign-in.ts'

/* Everything that an API had opened for a session is cut when it ends: seen by clients that know nothing of us. */

/** What is told of; asserted loosely, because a busy machine is no fault of ours. */
const SOON = 2_000

function cookieOf(header: string | undefined): string | undefined {
  return /(?:^|; )token=([^;]+)/.exec(header ?? '')?.[1]
}

/** An API with a socket, an event stream and MCP, and a page that opens the stream. */
async function startApi(guard: Guard): Promise<{ url: string; close(): Promise<void> }> {
  const fromCookie = { token: (req: { headers: { cookie?: string } }) => cookieOf(req.headers.cookie) }
  const events = protect(
    guard,
    (req, res) => eventStream(guard, req.session, res).send({ data: 'hello' }),
    fromCookie,
  )
  const handler = createMcpHandler(() => {
    const server = new McpServer(
      { name: 'notes', version: '1.0.0' },
      { capabilities: { tools: { listChanged: true } } },
    )
    server.registerTool('read', { description: 'Reads a note' }, async () => ({
      content: [{ type: 'text', text: 'Buy milk' }],
    }))
    return server
  })
  const serveMcp = toNodeHandler(handler)
  const mcp = protect(guard, async (req, res) => {
    endWithSession(guard, req.session, res)
    await serveMcp(req, res)
  })
  const server: Server = createServer((req, res) => {
    if (req.url === '/events') return events(req, res)
    if (req.url === '/mcp') return mcp(req, res)
    res.writeHead(200, { 'content-type': 'text/html' }).end('<title>page</title>')
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on(
    'upgrade',
    guardUpgrade(guard, sockets, (socket) => socket.send('hello'), fromCookie),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      await handler.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('what an API holds open for a session', () => {
  let authority: TestAuthority
  let guard: Guard
  let api: { url: string; close(): Promise<void> }
  before(async () => {
    authority = await startTestAuthority()
    guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await guard.ready()
    api = await startApi(guard)
  })
  after(async () => {
    await api.close()
    guard.close()
    await authority.stop()
  })

  /** Revokes, and says how long after the request was sent something was over. */
  async function cutBy(
    t: TestContext,
    what: string,
    { access_token, refresh_token }: Tokens,
    over: Promise<number>,
  ) {
    const sent = Date.now()
    const pair = { accessToken: access_token, refreshToken: refresh_token }
    const response = await post(`${authority.issuer}/v1/revoke`, pair)
    assert.equal(response.status, 200)
    const took = (await over) - sent
    t.diagnostic(`${what}: cut ${took} ms after the revoke was sent`)
    assert.ok(took < SOON, `${what} was open for ${took} ms`)
  }

  it('a WebSocket is closed with 4401 and the reason', async (t) => {
    const tokens = await signIn(authority.issuer)
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    const socket = new WebSocket(api.url.replace('http', 'ws'), { headers })
    await new Promise((resolve) => socket.once('message', resolve))
    const over = new Promise<number>((resolve) =>
      socket.once('close', (code, reason) => {
        assert.deepEqual([code, reason.toString()], [4401, 'user_logout'])
        resolve(Date.now())
      }),
    )
    await cutBy(t, 'WebSocket', tokens, over)
    const again = new WebSocket(api.url.replace('http', 'ws'), { headers })
    const status = await new Promise((resolve) =>
      again.once('unexpected-response', (_, res) => resolve(res.statusCode)),
    )
    assert.equal(status, 401)
  })

  it('a browser’s EventSource gets session-ended, is refused, and stops', async (t) => {
    const browser: Browser = await launchChromium()
    try {
      const tokens = await signIn(authority.issuer)
      const context = await browser.newContext()
      await context.addCookies([{ name: 'token', value: tokens.access_token, url: api.url, httpOnly: true }])
      const page = await context.newPage()
      await page.goto(`${api.url}/page`)
      const seen = await page.evaluateHandle(() => {
        const record = { hello: false, ended: '', endedAt: 0, states: [] as number[] }
        const source = new EventSource('/events')
        source.onmessage = () => {
          record.hello = true
        }
        source.addEventListener('session-ended', (event) => {
          record.ended = `${(event as MessageEvent).data}`
          record.endedAt = Date.now()
        })
        source.onerror = () => record.states.push(source.readyState)
        return record
      })
      await page.waitForFunction((record) => record.hello, seen)
      const over = page
        .waitForFunction((record) => record.endedAt, seen)
        .then(async () => (await seen.jsonValue()).endedAt)
      await cutBy(t, 'EventSource', tokens, over)
      // It comes back by itself, is answered 401, and gives up: 2 is CLOSED.
      await page.waitForFunction((record) => record.states.at(-1) === 2, seen)
      assert.equal((await seen.jsonValue()).ended, '{"reason":"user_logout"}')
    } finally {
      await browser.close()
    }
  })

  it('an MCP client’s subscription is cut, and its next request refused', async (t) => {
    const tokens = await signIn(authority.issuer)
    const client = newClient('2026-07-28')
    const requestInit = { headers: { authorization: `Bearer ${tokens.access_token}` } }
    await client.connect(new StreamableHTTPClientTransport(new URL(`${api.url}/mcp`), { requestInit }))
    const subscription = await client.listen({ toolsListChanged: true })
    const over = subscription.closed.then(() => Date.now())
    await cutBy(t, 'MCP subscription', tokens, over)
    await assert.rejects(client.callTool({ name: 'read', arguments: {} }), /AUTHENTICATION_FAILED/)
    await client.close()
  })
})
