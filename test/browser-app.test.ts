import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import * as oauth from 'oauth4webapi'
import { createBrowserFetch, type Seen } from './browser-fetch.ts'
import { createRelyingParty, errorOf } from './relying-party.ts'
import { CALLBACK, startTestAuthority, type TestAuthority } from './setup.ts'
import { signIn } from './sign-in.ts'

/* A single-page app: everything it does, as far as a browser lets it. */

const ORIGIN = new URL(CALLBACK).origin

describe('an app in a browser', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  it('lives its whole life across origins, with a key of its own', async () => {
    const seen: Seen = { preflights: 0, requests: 0 }
    const send = createBrowserFetch(ORIGIN, seen)
    const DPoP = oauth.DPoP({ client_id: 'app' } as oauth.Client, await oauth.generateKeyPair('ES256'))
    const app = await createRelyingParty(authority.issuer, { DPoP, send: send as typeof fetch })
    const { parameters } = await app.begin()
    await app.push(parameters)
    const tokens = await app.signIn()
    assert.equal(typeof (await app.userinfo(tokens.access_token)).sub, 'string')
    const next = await app.refresh(tokens.refresh_token)
    assert.equal((await app.ask(next.access_token, `${authority.issuer}/v1/session`)).status, 200)
    assert.equal((await send(`${app.as.jwks_uri}`)).status, 200)
    assert.equal((await send(`${authority.issuer}/status-lists/0`)).status, 200)
    await app.revoke(next.refresh_token)
    assert.equal(await errorOf(app.refresh(next.refresh_token)), 'invalid_grant', 'errors can be read too')
    assert.ok(seen.preflights >= 4, `${seen.preflights} of ${seen.requests} requests needed leave`)
  })

  it('logs out with the JSON of the tool, and can read why it was refused', async () => {
    const send = createBrowserFetch(ORIGIN)
    const tokens = await signIn(authority.issuer)
    const revoke = () =>
      send(`${authority.issuer}/v1/revoke`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ accessToken: tokens.access_token, refreshToken: tokens.refresh_token }),
      })
    assert.equal((await revoke()).status, 200)
    const again = await revoke()
    assert.equal(again.status, 410)
    assert.equal(((await again.json()) as { code: string }).code, 'TOKEN_REVOKED')
    const dead = await send(`${authority.issuer}/v1/session`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    })
    assert.equal(dead.status, 401)
    assert.match(dead.headers.get('www-authenticate') ?? '', /invalid_token/)
  })

  it('finds out when to try again', async (t) => {
    const own = await startTestAuthority()
    t.after(() => own.stop())
    const send = createBrowserFetch(ORIGIN)
    const guess = (accessToken: string) =>
      send(`${own.issuer}/v1/revoke`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ accessToken }),
      })
    let answer = await guess('guess')
    for (let i = 0; i < 100 && answer.status !== 429; i++) answer = await guess(`guess-${i}`)
    assert.equal(answer.status, 429)
    assert.ok(Number(answer.headers.get('retry-after')) > 0)
  })

  for (const pin of [undefined, '2026-07-28']) {
    it(`uses the MCP tools, ${pin ?? '2025-11-25'}`, async () => {
      const { access_token } = await signIn(authority.issuer, {
        resource: `${authority.issuer}/mcp`,
        scope: 'account:read',
      })
      const options = pin ? { versionNegotiation: { mode: { pin } } } : {}
      const client = new Client({ name: 'page', version: '1.0.0' }, options)
      const transport = new StreamableHTTPClientTransport(new URL(`${authority.issuer}/mcp`), {
        fetch: createBrowserFetch(ORIGIN) as typeof fetch,
        requestInit: { headers: { authorization: `Bearer ${access_token}` } },
      })
      await client.connect(transport)
      assert.ok((await client.listTools()).tools.length > 0)
      const me = await client.callTool({ name: 'whoami', arguments: {} })
      assert.ok(!me.isError)
      await client.close()
    })
  }

  it('registers and manages a client', async () => {
    const send = createBrowserFetch(ORIGIN)
    const metadata = { redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none', client_name: 'New' }
    const json = (method: string, body: unknown, token?: string) => ({
      method,
      headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify(body),
    })
    const made = await send(`${authority.issuer}/oauth/register`, json('POST', metadata))
    assert.equal(made.status, 201)
    const client = (await made.json()) as Record<string, string>
    const uri = `${client.registration_client_uri}`
    const token = `${client.registration_access_token}`
    const changed = { ...metadata, client_id: client.client_id, client_name: 'Newer' }
    const updated = await send(uri, json('PUT', changed, token))
    assert.equal(updated.status, 200)
    const body = (await updated.json()) as Record<string, string>
    assert.equal(body.client_name, 'Newer')
    const headers = { authorization: `Bearer ${body.registration_access_token ?? token}` }
    assert.equal((await send(uri, { method: 'DELETE', headers })).status, 204)
  })

  it('a page that belongs to no client reads nothing', async () => {
    const tokens = await signIn(authority.issuer)
    const bearer = { authorization: `Bearer ${tokens.access_token}` }
    const json = { 'content-type': 'application/json' }
    for (const origin of [
      'https://evil.example',
      'https://app.example.evil.example',
      'http://app.example',
      'null',
    ]) {
      const send = createBrowserFetch(origin)
      for (const [path, init] of [
        ['/v1/session', { headers: bearer }],
        ['/oauth/userinfo', { headers: bearer }],
        ['/v1/revoke', { method: 'POST', headers: json, body: '{}' }],
        ['/oauth/token', { method: 'POST', body: new URLSearchParams({ client_id: 'app' }) }],
        ['/oauth/par', { method: 'POST', body: new URLSearchParams({ client_id: 'app' }) }],
        ['/oauth/introspect', { method: 'POST', body: new URLSearchParams({ token: 'x' }) }],
        ['/oauth/register', { method: 'POST', headers: json, body: '{}' }],
        ['/mcp', { method: 'POST', headers: json, body: '{}' }],
        ['/oauth/jwks', {}],
        ['/.well-known/openid-configuration', {}],
        ['/', {}],
      ] as [string, RequestInit][]) {
        const refused = send(authority.issuer + path, init)
        await assert.rejects(
          refused,
          /^TypeError: CORS: the (preflight|answer) allows null/,
          `${origin} ${path}`,
        )
      }
    }
  })
})
