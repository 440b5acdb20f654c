import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, afterEach, before, describe, it } from 'node:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { requireBearerAuth as requireBearerAuth2 } from '@modelcontextprotocol/express'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth as requireBearerAuth1 } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { McpServer as McpServer1 } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import {
  createMcpHandler,
  McpServer,
  OAuthError,
  OAuthErrorCode,
  requireBearerAuth as requireBearerAuthFetch,
} from '@modelcontextprotocol/server'
import express, { type RequestHandler } from 'express'
import { AUDIENCE, CREDENTIALS, type Peer, startPeer, until } from '../test/peer.ts'
import { GuardError } from './errors.ts'
import { createGuard, type Guard } from './guard.ts'
import { endWithSession, mcpTokenVerifier, sessionOf } from './mcp.ts'

const METADATA = 'https://api.example/.well-known/oauth-protected-resource'
const SERVER = { name: 'notes', version: '1.0.0' }
const makers = {
  '1.x': (message: string) => new InvalidTokenError(message),
  '2.x': (message: string) => new OAuthError(OAuthErrorCode.InvalidToken, message),
}
const bearer = (token?: string): Record<string, string> => (token ? { authorization: `Bearer ${token}` } : {})

describe('an MCP server behind a guard', () => {
  let peer: Peer
  let guard: Guard
  let server: Server | undefined
  let url: string
  /** Why the tools that were running were told to stop. */
  let stopped: string[]
  let running = 0

  async function listen(app: express.Express) {
    server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  before(async () => {
    peer = await startPeer()
    guard = createGuard({ issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await peer.stop()
  })
  afterEach(async () => {
    server?.closeAllConnections()
    server?.close()
    await until(() => guard.connections.size === 0)
  })

  /** A `requireBearerAuth` of each SDK, and what it answers. */
  type Gate = (guard: Guard, options: { requiredScopes?: string[]; expectedResource?: URL }) => Promise<Ask>
  type Ask = (token?: string) => Promise<Response>
  const behind = async (gate: RequestHandler): Promise<Ask> => {
    const app = express()
    app.get('/', gate, (req, res) => {
      res.json({ ...req.auth, extra: sessionOf(req.auth).sid })
    })
    await listen(app)
    return (token) => fetch(url, { headers: bearer(token) })
  }
  const GATES: Record<string, Gate> = {
    'SDK 1.x': (guard, options) => {
      const verifier = mcpTokenVerifier(guard, { invalidToken: makers['1.x'] })
      return behind(requireBearerAuth1({ verifier, resourceMetadataUrl: METADATA, ...options }))
    },
    'SDK 2.x for Express': (guard, options) => {
      const verifier = mcpTokenVerifier(guard, { invalidToken: makers['2.x'] })
      return behind(requireBearerAuth2({ verifier, resourceMetadataUrl: METADATA, ...options }))
    },
    'SDK 2.x for fetch': async (guard, options) => {
      const verifier = mcpTokenVerifier(guard, { invalidToken: makers['2.x'] })
      const gate = requireBearerAuthFetch({ verifier, resourceMetadataUrl: METADATA, ...options })
      return async (token) => {
        const auth = await gate(new Request('https://api.example/mcp', { headers: bearer(token) }))
        return auth instanceof Response ? auth : Response.json({ ...auth, extra: sessionOf(auth).sid })
      }
    },
  }
  for (const [name, gate] of Object.entries(GATES)) {
    it(`${name}: a live token is described, a dead one gets 401 and the way to a new one`, async () => {
      const ask = await gate(guard, { requiredScopes: ['notes:read'], expectedResource: new URL(AUDIENCE) })
      const sid = `described by ${name}`
      const token = await peer.token({ sid, jti: sid, aud: [AUDIENCE, peer.issuer] })
      const live = await ask(token)
      assert.equal(live.status, 200)
      const { exp } = await guard.check(token)
      const { resourceMetadataUrl, ...described } = (await live.json()) as Record<string, unknown>
      assert.deepEqual(described, {
        ...{ token, clientId: 'app', scopes: ['notes:read', 'notes:write'], expiresAt: exp },
        ...{ resource: 'https://api.example/', extra: sid },
      })
      peer.revoke({ sid })
      await until(async () => (await ask(token)).status !== 200)
      for (const refused of [await ask(token), await ask('nonsense'), await ask()]) {
        assert.equal(refused.status, 401)
        const challenge = `${refused.headers.get('www-authenticate')}`
        assert.match(challenge, /^Bearer error="invalid_token", error_description="[^"]+"/)
        assert.ok(challenge.includes(`resource_metadata="${METADATA}"`), challenge)
        assert.equal(((await refused.json()) as { error: string }).error, 'invalid_token')
      }
      const narrow = await ask(await peer.token({ jti: `narrow by ${name}`, scope: 'other' }))
      assert.equal(narrow.status, 403)
    })

    it(`${name}: when nothing can be said of a token, it is neither let through nor called dead`, async () => {
      const options = { issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS }
      const stale = createGuard({ ...options, maxStaleness: 300, onStale: 'deny' })
      await stale.ready()
      const ask = await gate(stale, {})
      peer.feed = 'silent'
      await until(() => !stale.state().live)
      const response = await ask(await peer.token())
      peer.feed = 'open'
      stale.close()
      assert.equal(response.status, 500)
      assert.equal(response.headers.get('www-authenticate'), null)
    })
  }

  it('gives the session of a request that its verifier has seen, and of no other', () => {
    for (const auth of [undefined, {}, { extra: {} }])
      assert.throws(
        () => sessionOf(auth),
        (error) => error instanceof GuardError && error.status === 401,
      )
  })

  /** An MCP server on SDK 2 for clients of both eras, and one on SDK 1, each with a tool that runs for ever. */
  async function serve() {
    stopped = []
    running = 0
    const waits = async (...signals: (AbortSignal | undefined)[]) => {
      running++
      await Promise.all(signals.map((signal) => signal && !signal.aborted && once(signal, 'abort')))
      running--
      return { content: [] }
    }
    const app = express()
    const verifier2 = mcpTokenVerifier(guard, { invalidToken: makers['2.x'] })
    const handler = toNodeHandler(
      createMcpHandler(() => {
        const mcp = new McpServer(SERVER, { capabilities: { tools: { listChanged: true } } })
        mcp.registerTool('wait', {}, (ctx) => {
          const { signal } = sessionOf(ctx.http?.authInfo)
          signal.addEventListener('abort', () => stopped.push(signal.reason.reason))
          return waits(ctx.mcpReq.signal, signal)
        })
        return mcp
      }),
    )
    app.all('/2', requireBearerAuth2({ verifier: verifier2 }), (req, res) => {
      endWithSession(guard, sessionOf(req.auth), res)
      return handler(req, res)
    })
    const transports = new Map<string, StreamableHTTPServerTransport>()
    const verifier1 = mcpTokenVerifier(guard, { invalidToken: makers['1.x'] })
    app.all('/1', requireBearerAuth1({ verifier: verifier1 }), async (req, res) => {
      endWithSession(guard, sessionOf(req.auth), res)
      const known = transports.get(`${req.headers['mcp-session-id']}`)
      if (known) return known.handleRequest(req as never, res)
      const transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => void transports.set(id, transport),
      })
      const mcp = new McpServer1(SERVER)
      mcp.registerTool('wait', {}, ({ authInfo }) => {
        const { signal } = sessionOf(authInfo)
        signal.addEventListener('abort', () => stopped.push(signal.reason.reason))
        return waits(signal)
      })
      await mcp.connect(transport as never)
      await transport.handleRequest(req as never, res)
    })
    await listen(app)
  }
  async function connect(path: string, token: string, pin?: string) {
    const requests: [string, number][] = []
    const transport = new StreamableHTTPClientTransport(new URL(`${url}${path}`), {
      requestInit: { headers: bearer(token) },
      fetch: async (to, init) => {
        const response = await fetch(to, init)
        requests.push([`${init?.method}`, response.status])
        return response
      },
    })
    const client = new Client(SERVER, pin ? { versionNegotiation: { mode: { pin } } } : {})
    client.onerror = () => {}
    await client.connect(transport)
    return { client, requests }
  }

  it('2026-07-28: a `subscriptions/listen` stream is cut at the end, and who comes back is refused', async () => {
    await serve()
    const token = await peer.token({ sid: 'listens', jti: 'listens' })
    const { client } = await connect('/2', token, '2026-07-28')
    const subscription = await client.listen({ toolsListChanged: true })
    assert.ok(subscription.honoredFilter.toolsListChanged)
    const began = Date.now()
    peer.revoke({ sid: 'listens', reason: 'device_removed' })
    assert.equal(await subscription.closed, 'remote')
    assert.ok(Date.now() - began < 2_000)
    await assert.rejects(client.listen({ toolsListChanged: true }), /invalid_token/)
    await assert.rejects(client.listTools(), /invalid_token/)
    await client.close()
  })

  for (const [path, pin] of [['/2', '2026-07-28'], ['/2'], ['/1']] as const) {
    it(`a tool call that runs is cut and told why: ${path === '/1' ? 'SDK 1.x' : 'SDK 2.x'}, ${pin ?? '2025-11-25'}`, async () => {
      await serve()
      const sid = `runs at ${path} ${pin}`
      const { client } = await connect(path, await peer.token({ sid, jti: sid }), pin)
      const call = assert.rejects(client.callTool({ name: 'wait' }, { timeout: 5_000 }))
      await until(() => running === 1)
      peer.revoke({ sid, reason: 'admin_forced' })
      await until(() => running === 0)
      assert.deepEqual(stopped, ['admin_forced'])
      await until(() => guard.connections.size === 0)
      await assert.rejects(client.listTools(), /invalid_token/)
      await client.close()
      await call
    })
  }

  it('2025-11-25: the GET stream of an SDK 1.x server is cut, and who reconnects is refused', async () => {
    await serve()
    const { client, requests } = await connect('/1', await peer.token({ sid: 'gets', jti: 'gets' }))
    await until(() => requests.some(([method, status]) => method === 'GET' && status === 200))
    await until(() => guard.connections.size === 1)
    peer.revoke({ sid: 'gets' })
    await until(() => guard.connections.size === 0)
    // The client reconnects by itself.
    await until(() => requests.some(([method, status]) => method === 'GET' && status === 401))
    await client.close()
  })

  it('leaves nothing behind of requests that are over', async () => {
    await serve()
    const { client } = await connect('/2', await peer.token({ sid: 'many', jti: 'many' }), '2026-07-28')
    for (let count = 0; count < 50; count++) await client.listTools()
    await until(() => guard.connections.size === 0)
    await client.close()
  })
})
