import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { LOGGED_OUT, STILL_SIGNED_IN } from '../packages/authority/src/revoke.ts'
import { createBrowser, signInThrough } from '../tools/browser.ts'
import { API, freePort, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { signIn } from './sign-in.ts'
import { callTool } from './tool.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.ts')
const TOOLS = [
  'handle_oauth_callback',
  'refresh_oauth_tokens',
  'revoke_oauth_tokens',
  'start_oauth_flow',
  'verify_oauth_revocation',
  'whoami',
]

type Result = { content: unknown; structuredContent?: unknown; isError?: boolean }
type Caller = {
  call(name: string, args?: Record<string, unknown>): Promise<Result>
  list(): Promise<{ name: string; inputSchema: unknown; outputSchema?: unknown; annotations?: object }[]>
  close(): Promise<void>
}

const textOf = (result: Result) => (result.content as { text: string }[])[0]?.text ?? ''

/** The `{ error, code }` of a failed call, after checking its form. */
function errorOf(result: Result): { error: string; code: string } {
  assert.equal(result.isError, true, textOf(result))
  assert.equal(result.structuredContent, undefined, 'older clients throw on this')
  const error = JSON.parse(textOf(result)) as { error: string; code: string }
  assert.deepEqual(Object.keys(error).sort(), ['code', 'error'])
  assert.doesNotMatch(
    error.error,
    /Input validation|Invalid arguments|zod|MCP error/i,
    'the SDK’s own wording',
  )
  return error
}

function answerOf<T>(result: Result): T {
  assert.ok(!result.isError, textOf(result))
  assert.deepEqual(JSON.parse(textOf(result)), result.structuredContent)
  return result.structuredContent as T
}

async function overHttp(issuer: string, modern: boolean, token?: string): Promise<Caller> {
  const options = modern ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : {}
  const client = new Client({ name: 'test', version: '1.0.0' }, options)
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${issuer}/mcp`), { requestInit: { headers } }),
  )
  return callerOf(client)
}

async function overStdio(url: string, modern: boolean, token?: string): Promise<Caller> {
  const options = modern ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : {}
  const client = new Client({ name: 'test', version: '1.0.0' }, options)
  const env = { PATH: `${process.env.PATH}`, ...(token ? { RESCIND_ACCESS_TOKEN: token } : {}) }
  const args = [CLI, 'mcp', '--url', url]
  await client.connect(new StdioClientTransport({ command: process.execPath, args, env }))
  return callerOf(client)
}

function callerOf(client: Client): Caller {
  return {
    call: (name, args = {}) => client.callTool({ name, arguments: args }) as Promise<Result>,
    list: async () => (await client.listTools()).tools as never,
    close: () => client.close(),
  }
}

async function overOlderSdk(issuer: string, token?: string): Promise<Caller> {
  const client = new OlderClient({ name: 'test', version: '1.0.0' })
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
  await client.connect(new OlderTransport(new URL(`${issuer}/mcp`), { requestInit: { headers } }) as never)
  return {
    call: (name, args = {}) => client.callTool({ name, arguments: args }) as Promise<Result>,
    list: async () => (await client.listTools()).tools as never,
    close: () => client.close(),
  }
}

type Flow = { authUrl: string; state: string; expiresIn: number; success: boolean; instructions: string }
type Signed = {
  accessToken: string
  refreshToken: string
  logoutTicket: string
  expiresIn: number
  session: { sid: string; sub: string; expiresAt: string }
}

async function startAndSignIn(agent: Caller, args: Record<string, unknown> = {}) {
  const flow = answerOf<Flow>(await agent.call('start_oauth_flow', args))
  const back = await signInThrough(createBrowser(), flow.authUrl, PERSON, /\/oauth\/code\?|app\.example/)
  const read = (name: string) => `${back.searchParams.get(name)}`
  assert.equal(read('state'), flow.state)
  return { code: read('code'), state: flow.state, iss: read('iss') }
}

const WAYS: Record<string, (issuer: string, token?: string) => Promise<Caller>> = {
  'HTTP, 2025-11-25': (issuer, token) => overHttp(issuer, false, token),
  'HTTP, 2026-07-28': (issuer, token) => overHttp(issuer, true, token),
  'HTTP, the older SDK': overOlderSdk,
  'stdio, 2025-11-25': (issuer, token) => overStdio(issuer, false, token),
  'stdio, 2026-07-28': (issuer, token) => overStdio(issuer, true, token),
}

for (const [way, connect] of Object.entries(WAYS)) {
  describe(`the MCP tools over ${way}`, () => {
    let authority: TestAuthority
    let agent: Caller
    before(async () => {
      authority = await startTestAuthority()
      agent = await connect(authority.issuer)
    })
    after(async () => {
      await agent.close()
      await authority.stop()
    })

    it('are listed with schemas and annotations', async () => {
      const tools = await agent.list()
      assert.deepEqual(tools.map(({ name }) => name).sort(), TOOLS)
      for (const tool of tools) {
        assert.equal((tool.inputSchema as { type: string }).type, 'object', tool.name)
        assert.equal((tool.outputSchema as { type: string }).type, 'object', tool.name)
        assert.equal(
          typeof (tool.annotations as { readOnlyHint: boolean }).readOnlyHint,
          'boolean',
          tool.name,
        )
      }
      const revoke = tools.find(({ name }) => name === 'revoke_oauth_tokens')
      assert.ok(revoke)
      assert.deepEqual((revoke.inputSchema as { required: string[] }).required, ['accessToken'])
      assert.equal((revoke.annotations as { destructiveHint: boolean }).destructiveHint, true)
    })

    it('sign a person in, refresh, log out for real, and prove it', async () => {
      const callback = await startAndSignIn(agent)
      const signed = answerOf<Signed>(await agent.call('handle_oauth_callback', callback))
      assert.equal(signed.expiresIn, 600)
      assert.ok(Date.parse(signed.session.expiresAt) > Date.now())

      const known = await connect(authority.issuer, signed.accessToken)
      const me = answerOf<{ email: string; sid: string }>(await known.call('whoami'))
      assert.deepEqual([me.email, me.sid], [PERSON.email, signed.session.sid])
      const { refreshToken } = signed
      const next = answerOf<Signed>(await agent.call('refresh_oauth_tokens', { refreshToken }))
      assert.notEqual(next.accessToken, signed.accessToken)

      const first = await agent.call('revoke_oauth_tokens', { accessToken: signed.accessToken })
      assert.deepEqual(answerOf(first), { success: true, message: STILL_SIGNED_IN })
      const pair = { accessToken: next.accessToken, refreshToken: next.refreshToken }
      assert.deepEqual(answerOf(await agent.call('revoke_oauth_tokens', pair)), {
        success: true,
        message: LOGGED_OUT,
      })
      for (const accessToken of [signed.accessToken, next.accessToken]) {
        const proof = answerOf<{ revoked: boolean }>(
          await agent.call('verify_oauth_revocation', { accessToken }),
        )
        assert.equal(proof.revoked, true)
      }
      const gone = { error: 'Token has already been revoked', code: 'TOKEN_REVOKED' }
      assert.deepEqual(errorOf(await agent.call('revoke_oauth_tokens', pair)), gone)
      assert.equal(
        errorOf(await agent.call('refresh_oauth_tokens', { refreshToken: next.refreshToken })).code,
        'TOKEN_REVOKED',
      )
      const refused = await known.call('whoami').catch((error: Error) => error)
      if (refused instanceof Error) assert.match(refused.message, /401|AUTHENTICATION_FAILED|Unauthorized/i)
      else assert.equal(errorOf(refused).code, 'AUTHENTICATION_FAILED')
      await known.close()
    })

    it('name their errors', async () => {
      const codeOf = async (name: string, args: Record<string, unknown>) =>
        errorOf(await agent.call(name, args)).code
      assert.equal(await codeOf('whoami', {}), 'AUTHENTICATION_FAILED')
      assert.equal(await codeOf('handle_oauth_callback', { code: 'x', state: 'unknown' }), 'INVALID_STATE')
      const flow = answerOf<Flow>(await agent.call('start_oauth_flow', {}))
      const elsewhere = { code: 'x', state: flow.state, iss: 'https://evil.example' }
      assert.equal(await codeOf('handle_oauth_callback', elsewhere), 'INVALID_STATE')
      assert.equal(await codeOf('handle_oauth_callback', { code: 'x', state: flow.state }), 'INVALID_GRANT')
      assert.equal(
        await codeOf('handle_oauth_callback', { code: 'x', state: flow.state }),
        'INVALID_STATE',
        'twice',
      )
      const denied = answerOf<Flow>(await agent.call('start_oauth_flow', {}))
      const refusal = { code: 'access_denied', state: denied.state }
      assert.equal(await codeOf('handle_oauth_callback', refusal), 'ACCESS_DENIED')
      assert.equal(await codeOf('refresh_oauth_tokens', { refreshToken: 'nonsense' }), 'INVALID_GRANT')
      assert.equal(await codeOf('verify_oauth_revocation', { accessToken: 'nonsense' }), 'INVALID_TOKEN')
      assert.equal(await codeOf('no_such_tool', {}), 'VALIDATION_ERROR')
    })

    it('name the field of a bad argument', async () => {
      for (const [name, args, field] of [
        ['revoke_oauth_tokens', {}, 'accessToken'],
        ['revoke_oauth_tokens', { accessToken: 1 }, 'accessToken'],
        ['revoke_oauth_tokens', { accessToken: 'x', more: 1 }, 'more'],
        ['handle_oauth_callback', { code: 'x' }, 'state'],
        ['handle_oauth_callback', { code: '', state: 'x' }, 'code'],
        ['start_oauth_flow', { redirectUri: 7 }, 'redirectUri'],
        ['start_oauth_flow', { clientId: 'nobody' }, 'clientId'],
        ['start_oauth_flow', { redirectUri: 'https://evil.example' }, 'redirectUri'],
        ['start_oauth_flow', { resource: 'https://unknown.example' }, 'resource'],
        ['refresh_oauth_tokens', { refreshToken: 'x'.repeat(9_000) }, 'refreshToken'],
        ['whoami', { extra: true }, 'extra'],
      ] as [string, Record<string, unknown>, string][]) {
        const { error, code } = errorOf(await agent.call(name, args))
        assert.equal(code, 'VALIDATION_ERROR', name)
        assert.match(error, new RegExp(field))
      }
    })
  })
}

describe('time, at the MCP tools', () => {
  let authority: TestAuthority
  let agent: Caller
  before(async () => {
    authority = await startTestAuthority()
    agent = await overHttp(authority.issuer, true)
  })
  after(async () => {
    await agent.close()
    await authority.stop()
  })

  it('a code, a state and a refresh token run out, each with its code', async () => {
    const late = await startAndSignIn(agent)
    const never = answerOf<Flow>(await agent.call('start_oauth_flow', {}))
    const signed = answerOf<Signed>(await agent.call('handle_oauth_callback', await startAndSignIn(agent)))
    authority.advance(10 * 60_000)
    assert.equal(errorOf(await agent.call('handle_oauth_callback', late)).code, 'EXPIRED_CODE')
    authority.advance(25 * 60_000)
    const expired = { code: 'x', state: never.state }
    assert.equal(errorOf(await agent.call('handle_oauth_callback', expired)).code, 'INVALID_STATE')
    const proof = await agent.call('verify_oauth_revocation', { accessToken: signed.accessToken })
    assert.equal(answerOf<{ revoked: boolean }>(proof).revoked, false, 'expired is not revoked')
    authority.advance(31 * 24 * 3_600_000)
    const { refreshToken } = signed
    assert.equal(errorOf(await agent.call('refresh_oauth_tokens', { refreshToken })).code, 'EXPIRED_TOKEN')
  })
})

describe('a token that is sent to the MCP endpoint', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  it('has to be live and for this endpoint, also for a public tool', async () => {
    const { issuer } = authority
    const own = await signIn(issuer, { resource: `${issuer}/mcp`, scope: 'account:read' })
    const ask = (token: string) =>
      fetch(`${issuer}/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${token}`,
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'start_oauth_flow' },
        }),
      })
    assert.equal((await ask(own.access_token)).status, 200)
    const elsewhere = await signIn(issuer, { resource: API })
    await callTool(issuer, 'revoke_oauth_tokens', { accessToken: own.access_token })
    for (const token of [own.access_token, elsewhere.access_token, 'nonsense']) {
      const response = await ask(token)
      assert.equal(response.status, 401)
      const challenge = response.headers.get('www-authenticate') ?? ''
      assert.match(challenge, /^Bearer error="invalid_token"/)
      const metadata = /resource_metadata="([^"]+)"/.exec(challenge)?.[1]
      const described = (await (await fetch(`${metadata}`)).json()) as Record<string, unknown>
      assert.deepEqual([described.resource, described.authorization_servers], [`${issuer}/mcp`, [issuer]])
      assert.equal(((await response.json()) as { code: string }).code, 'AUTHENTICATION_FAILED')
    }
  })

  it('a page of another site is refused', async () => {
    const response = await fetch(`${authority.issuer}/mcp`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: 'https://evil.example' },
      body: '{}',
    })
    assert.equal(response.status, 403)
  })
})

describe('the stdio server without an authority', () => {
  it('says that it can’t be reached, and works once it can', async () => {
    const port = await freePort()
    const agent = await overStdio(`http://localhost:${port}`, false)
    assert.equal(errorOf(await agent.call('start_oauth_flow')).code, 'UNAVAILABLE')
    assert.equal((await agent.list()).length, TOOLS.length)
    await agent.close()
  })
})
