import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import * as oauth from 'oauth4webapi'
import {
  type Agent,
  agentOf,
  answerOf,
  newClient,
  OVER_HTTP,
  refusalOf,
  type Signed,
  signInWith,
} from './mcp-agent.ts'
import { createRelyingParty } from './relying-party.ts'
import { API, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { signIn } from './sign-in.ts'

/* What the tools promise in their listing, how they refuse, and who may call them. */

type Promise_ = { input: string[]; required: string[]; output: string[]; hints: string }
/** Hints: r(ead only), d(estructive), i(dempotent), o(pen world). */
const LISTED: Record<string, Promise_> = {
  start_oauth_flow: {
    input: ['clientId', 'redirectUri', 'resource', 'scope'],
    required: [],
    output: ['authUrl', 'expiresIn', 'instructions', 'state', 'success'],
    hints: '',
  },
  handle_oauth_callback: {
    input: ['code', 'iss', 'state'],
    required: ['code', 'state'],
    output: ['accessToken', 'expiresIn', 'logoutTicket', 'message', 'refreshToken', 'session', 'success'],
    hints: '',
  },
  refresh_oauth_tokens: {
    input: ['refreshToken'],
    required: ['refreshToken'],
    output: ['accessToken', 'expiresIn', 'refreshToken', 'success'],
    hints: '',
  },
  revoke_oauth_tokens: {
    input: ['accessToken', 'refreshToken'],
    required: ['accessToken'],
    output: ['message', 'success'],
    hints: 'di',
  },
  verify_oauth_revocation: {
    input: ['accessToken'],
    required: ['accessToken'],
    output: ['message', 'revoked'],
    hints: 'ri',
  },
  list_oauth_sessions: { input: [], required: [], output: ['sessions'], hints: 'ri' },
  revoke_oauth_session: {
    input: ['sid'],
    required: ['sid'],
    output: ['message', 'success'],
    hints: 'di',
  },
  revoke_other_oauth_sessions: {
    input: [],
    required: [],
    output: ['ended', 'message', 'success'],
    hints: 'di',
  },
  whoami: {
    input: [],
    required: [],
    output: ['clientId', 'email', 'expiresAt', 'name', 'scope', 'sid', 'sub'],
    hints: 'ri',
  },
}

for (const [client, connect] of Object.entries(OVER_HTTP)) {
  describe(`the MCP tools, to ${client}`, () => {
    let authority: TestAuthority
    let agent: Agent
    before(async () => {
      authority = await startTestAuthority()
      agent = await connect(authority.issuer)
      // From here on the client holds every answer against the schemas.
      await agent.list()
    })
    after(async () => {
      await agent.close()
      await authority.stop()
    })

    it('promise exactly this', async () => {
      const tools = await agent.list()
      assert.deepEqual(tools.map(({ name }) => name).sort(), Object.keys(LISTED).sort())
      for (const { name, title, description, inputSchema, outputSchema, annotations = {} } of tools) {
        const hints = ['readOnly', 'destructive', 'idempotent', 'openWorld']
          .map((hint) => (annotations[`${hint}Hint`] === true ? hint[0] : ''))
          .join('')
        const keys = (properties: object = {}) => Object.keys(properties).sort()
        assert.deepEqual(
          {
            input: keys(inputSchema.properties),
            required: inputSchema.required ?? [],
            output: keys(outputSchema?.properties),
            hints,
          },
          LISTED[name],
          name,
        )
        assert.equal(inputSchema.additionalProperties, false, name)
        for (const [field, schema] of Object.entries(inputSchema.properties ?? {})) {
          const { type, maxLength, description: said } = schema as Record<string, unknown>
          assert.equal(type, 'string', `${name} ${field}`)
          assert.ok(Number(maxLength) <= 8192, `${name} ${field} is bounded`)
          assert.ok(`${said ?? ''}`.length > 10, `${name} ${field} is described`)
        }
        assert.ok(title && `${description}`.length > 30, name)
      }
    })

    it('refuse without making the client throw', async () => {
      const { accessToken, refreshToken } = await signInWith(agent)
      await agent.call('revoke_oauth_tokens', { accessToken, refreshToken })
      for (const [name, args, code, error] of [
        ['whoami', {}, 'AUTHENTICATION_FAILED', /live access token/],
        ['revoke_oauth_tokens', { accessToken: 'nonsense' }, 'INVALID_TOKEN', /^Invalid access token$/],
        [
          'revoke_oauth_tokens',
          { accessToken, refreshToken: 'nonsense' },
          'INVALID_TOKEN',
          /^Invalid refresh token$/,
        ],
        [
          'revoke_oauth_tokens',
          { accessToken, refreshToken },
          'TOKEN_REVOKED',
          /^Token has already been revoked$/,
        ],
        ['revoke_oauth_tokens', { accessToken }, 'TOKEN_REVOKED', /^Token has already been revoked$/],
        ['refresh_oauth_tokens', { refreshToken }, 'TOKEN_REVOKED', /^Token has already been revoked$/],
        ['refresh_oauth_tokens', { refreshToken: accessToken }, 'INVALID_GRANT', /^Invalid refresh token$/],
        ['verify_oauth_revocation', { accessToken: refreshToken }, 'INVALID_TOKEN', /^Invalid access token$/],
        ['handle_oauth_callback', { code: 'x', state: 'y' }, 'INVALID_STATE', /start_oauth_flow/],
        ['no_such_tool', {}, 'VALIDATION_ERROR', /revoke_oauth_tokens/],
      ] as [string, Record<string, unknown>, string, RegExp][]) {
        const refusal = refusalOf(await agent.call(name, args))
        assert.equal(refusal.code, code, name)
        assert.match(refusal.error, error)
        assert.ok(!refusal.error.includes(accessToken) && !refusal.error.includes(refreshToken))
      }
    })

    it('name the argument that is wrong, and what it may be', async () => {
      const long = 'x'.repeat(8193)
      for (const [name, args, error] of [
        ['revoke_oauth_tokens', {}, '`accessToken` is missing.'],
        ['revoke_oauth_tokens', { refreshToken: 'x' }, '`accessToken` is missing.'],
        ['revoke_oauth_tokens', { accessToken: null }, '`accessToken` must be a string.'],
        ['revoke_oauth_tokens', { accessToken: ['x'] }, '`accessToken` must be a string.'],
        ['revoke_oauth_tokens', { accessToken: '' }, '`accessToken` must not be empty.'],
        ['revoke_oauth_tokens', { accessToken: long }, '`accessToken` may have at most 8192 characters.'],
        ['revoke_oauth_tokens', { accessToken: 'x', refreshToken: 7 }, '`refreshToken` must be a string.'],
        ['revoke_oauth_tokens', { accessToken: 'x', token: 'x' }, 'Unknown field: `token`.'],
        ['refresh_oauth_tokens', {}, '`refreshToken` is missing.'],
        ['refresh_oauth_tokens', { refreshToken: true }, '`refreshToken` must be a string.'],
        ['refresh_oauth_tokens', { refreshToken: long }, '`refreshToken` may have at most 8192 characters.'],
        ['verify_oauth_revocation', {}, '`accessToken` is missing.'],
        ['handle_oauth_callback', { code: 'x' }, '`state` is missing.'],
        ['handle_oauth_callback', { state: 'x' }, '`code` is missing.'],
        [
          'handle_oauth_callback',
          { code: 'x', state: 'y'.repeat(201) },
          '`state` may have at most 200 characters.',
        ],
        ['handle_oauth_callback', { code: 'x', state: 'y', iss: 1 }, '`iss` must be a string.'],
        ['start_oauth_flow', { scope: {} }, '`scope` must be a string.'],
        ['start_oauth_flow', { scope: '' }, '`scope` must not be empty.'],
        ['start_oauth_flow', { client_id: 'app' }, 'Unknown field: `client_id`.'],
        ['whoami', { accessToken: 'x' }, 'Unknown field: `accessToken`.'],
      ] as [string, Record<string, unknown>, string][]) {
        const refusal = refusalOf(await agent.call(name, args))
        assert.deepEqual(refusal, { error, code: 'VALIDATION_ERROR' }, `${name} ${Object.keys(args)}`)
      }
    })

    it('tell the whole story: sign in, refresh, log out for real, prove it', async () => {
      const signed = await signInWith(agent)
      const { refreshToken } = signed
      const next = answerOf<Signed>(await agent.call('refresh_oauth_tokens', { refreshToken }))
      assert.notEqual(next.accessToken, signed.accessToken)
      const proofOf = async (accessToken: string) =>
        answerOf(await agent.call('verify_oauth_revocation', { accessToken })).revoked
      assert.equal(await proofOf(next.accessToken), false)
      const pair = { accessToken: next.accessToken, refreshToken: next.refreshToken }
      assert.deepEqual(answerOf(await agent.call('revoke_oauth_tokens', pair)), {
        success: true,
        message: 'OAuth tokens revoked successfully. You have been logged out.',
      })
      for (const accessToken of [signed.accessToken, next.accessToken]) {
        assert.equal(await proofOf(accessToken), true)
        await assert.rejects(connect(authority.issuer, accessToken), /401|Unauthorized|AUTHENTICATION_FAILED/)
      }
    })

    it('whoami knows whose token it is, until the token dies', async () => {
      const signed = await signInWith(agent)
      const known = await connect(authority.issuer, signed.accessToken)
      const me = answerOf<Record<string, string>>(await known.call('whoami'))
      assert.deepEqual(
        [me.sub, me.sid, me.email, me.name, me.clientId, me.scope],
        [signed.session.sub, signed.session.sid, PERSON.email, PERSON.name, 'rescind-agent', 'account:read'],
      )
      assert.ok(Date.parse(`${me.expiresAt}`) > Date.now())
      await agent.call('revoke_oauth_tokens', { accessToken: signed.accessToken })
      for (const name of ['whoami', 'start_oauth_flow']) {
        await assert.rejects(known.call(name), /401|Unauthorized|AUTHENTICATION_FAILED/, name)
      }
      await assert.rejects(connect(authority.issuer, signed.accessToken), 'not even to say hello')
      await known.close()
    })
  })
}

describe('who may call the MCP endpoint', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const request = (authorization: string | undefined, method: string, params: unknown = {}) =>
    fetch(`${authority.issuer}/mcp`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-11-25',
        ...(authorization === undefined ? {} : { authorization }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    })
  const own = () => ({ resource: `${authority.issuer}/mcp`, scope: 'account:read' })

  it('nobody has to have a token, and whoever sends one has to send a good one', async () => {
    const { issuer } = authority
    const live = await signIn(issuer, own())
    const dead = await signIn(issuer, own())
    await fetch(`${issuer}/oauth/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'app', token: dead.access_token }),
    })
    const elsewhere = await signIn(issuer, { resource: API })
    const call = ['tools/call', { name: 'start_oauth_flow', arguments: {} }] as const
    const methods = [['tools/list'], call, ['tools/call', { name: 'whoami', arguments: {} }]] as const
    for (const [method, params] of methods) {
      for (const good of [undefined, `Bearer ${live.access_token}`, `bearer ${live.access_token}`]) {
        assert.equal((await request(good, method, params)).status, 200, `${method} ${good?.slice(0, 7)}`)
      }
      for (const [what, bad] of [
        ['dead', `Bearer ${dead.access_token}`],
        ['of another audience', `Bearer ${elsewhere.access_token}`],
        ['an ID token', `Bearer ${elsewhere.id_token}`],
        ['a refresh token', `Bearer ${live.refresh_token}`],
        ['nonsense', 'Bearer nonsense'],
        ['nothing', 'Bearer'],
        ['another scheme', 'Basic eDp5'],
        ['not bound to a key', `DPoP ${live.access_token}`],
      ] as const) {
        const response = await request(bad, method, params)
        assert.equal(response.status, 401, `${what}: ${method}`)
        const challenge = response.headers.get('www-authenticate') ?? ''
        assert.match(challenge, /^Bearer error="invalid_token", resource_metadata="http[^"]+"$/)
        const body = (await response.json()) as { code: string }
        assert.deepEqual([Object.keys(body), body.code], [['error', 'code'], 'AUTHENTICATION_FAILED'])
      }
    }
  })

  it('an expired token is refused, to the second', async (t) => {
    const late = await startTestAuthority()
    t.after(() => late.stop())
    const { access_token, expires_in } = await signIn(late.issuer, {
      resource: `${late.issuer}/mcp`,
      scope: 'account:read',
    })
    const agent = await OVER_HTTP['2026-07-28']?.(late.issuer, access_token)
    assert.ok(agent)
    t.after(() => agent.close())
    late.advance((expires_in - 30) * 1000)
    assert.equal(typeof answerOf(await agent.call('whoami')).sid, 'string')
    late.advance(31_000)
    await assert.rejects(agent.call('whoami'), /401|Unauthorized|AUTHENTICATION_FAILED/)
  })

  it('a refused client finds the way to a new token by itself (RFC 9728 §5.1)', async () => {
    const refused = await request('Bearer nonsense', 'tools/list')
    const metadata = /resource_metadata="([^"]+)"/.exec(refused.headers.get('www-authenticate') ?? '')?.[1]
    const insecure = { [oauth.allowInsecureRequests]: true }
    const resource = new URL(`${authority.issuer}/mcp`)
    const described = await oauth.processResourceDiscoveryResponse(resource, await fetch(`${metadata}`))
    const [issuer] = described.authorization_servers ?? []
    const found = await oauth.discoveryRequest(new URL(`${issuer}`), { ...insecure, algorithm: 'oauth2' })
    assert.equal((await oauth.processDiscoveryResponse(new URL(`${issuer}`), found)).issuer, authority.issuer)
    const app = await createRelyingParty(`${issuer}`)
    // The scope is left out, as MCP clients do.
    const tokens = await app.signIn({ resource: described.resource, scope: undefined })
    const again = await request(`Bearer ${tokens.access_token}`, 'tools/list')
    assert.equal(again.status, 200)
  })

  it('a bound token comes with its proof', async () => {
    const settings = {
      DPoP: oauth.DPoP({ client_id: 'app' } as oauth.Client, await oauth.generateKeyPair('ES256')),
    }
    const app = await createRelyingParty(authority.issuer, settings)
    const { access_token } = await app.signIn(own())
    assert.equal((await request(`Bearer ${access_token}`, 'tools/list')).status, 401)
    assert.equal((await request(`DPoP ${access_token}`, 'tools/list')).status, 401)
    const client = newClient('2026-07-28')
    const proven = async (url: string | URL | Request, init: RequestInit = {}) => {
      const headers = new Headers(init.headers)
      const method = init.method ?? 'GET'
      return oauth.protectedResourceRequest(
        access_token,
        method,
        new URL(`${url}`),
        headers,
        init.body as never,
        {
          [oauth.allowInsecureRequests]: true,
          ...settings,
        },
      )
    }
    const url = new URL(`${authority.issuer}/mcp`)
    await client.connect(new StreamableHTTPClientTransport(url, { fetch: proven as typeof fetch }))
    const agent = agentOf(client)
    assert.equal(answerOf(await agent.call('whoami')).email, PERSON.email)
    await agent.call('revoke_oauth_tokens', { accessToken: access_token })
    await assert.rejects(agent.call('whoami'), /401|Unauthorized|AUTHENTICATION_FAILED|WWW-Authenticate/)
    await client.close()
  })

  it('a page of another site is refused, a page of a client and of our own is not', async () => {
    for (const [origin, status] of [
      ['https://evil.example', 403],
      ['null', 403],
      ['https://app.example', 200],
      [authority.issuer, 200],
    ] as const) {
      const response = await fetch(`${authority.issuer}/mcp`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          origin,
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
      })
      assert.equal(response.status, status, origin)
    }
  })

  it('what is no JSON is a parse error, and what is too long is refused, as JSON-RPC and HTTP have it', async () => {
    const send = (body: string | ReadableStream) =>
      fetch(`${authority.issuer}/mcp`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        body,
        duplex: 'half',
      } as RequestInit)
    for (const body of ['', '{"jsonrpc":', '{} {}', 'null null']) {
      const response = await send(body)
      const { error, id } = (await response.json()) as { error: { code: number }; id: null }
      assert.deepEqual([response.status, error.code, id], [400, -32700, null], body)
    }
    for (const body of ['null', '[]', '"text"', '7', '{"a":1}'])
      assert.equal((await send(body)).status, 400, body)
    assert.equal((await send(`"${'x'.repeat(70_000)}"`)).status, 413)
    const chunks = new ReadableStream({
      start(controller) {
        for (let n = 0; n < 10; n++) controller.enqueue(new TextEncoder().encode('x'.repeat(10_000)))
        controller.close()
      },
    })
    assert.equal(
      await send(chunks).then(
        ({ status }) => status,
        () => 413,
      ),
      413,
    )
  })

  it('what it does not speak is refused in the protocol’s words', async () => {
    const text = async (response: Response) => (await response.text()).replace(/^event: .*\ndata: /, '')
    for (const method of ['prompts/list', 'resources/list', 'no/such/method']) {
      const { error } = JSON.parse(await text(await request(undefined, method))) as {
        error: { code: number }
      }
      assert.equal(error.code, -32601, method)
    }
    for (const method of ['GET', 'DELETE', 'PUT']) {
      const response = await fetch(`${authority.issuer}/mcp`, { method })
      assert.equal(response.status, 405, method)
    }
  })
})
