import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { decodeProtectedHeader } from 'jose'
import * as oauth from 'oauth4webapi'
import { claimsOf, createRelyingParty, errorOf, INSECURE, type RelyingParty } from './relying-party.ts'
import { API, API_GUARD, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { post } from './sign-in.ts'

/* What the authority says of itself, of its keys, of its tokens and of its people. */

const BACKEND_AUTH = oauth.ClientSecretBasic('the secret of the backend')

describe('what the authority tells', () => {
  let authority: TestAuthority
  let app: RelyingParty
  let backend: RelyingParty
  let guard: RelyingParty
  before(async () => {
    authority = await startTestAuthority()
    const { issuer } = authority
    app = await createRelyingParty(issuer)
    backend = await createRelyingParty(issuer, { client: { client_id: 'backend' }, auth: BACKEND_AUTH })
    const auth = oauth.ClientSecretBasic(API_GUARD.clientSecret)
    guard = await createRelyingParty(issuer, { client: { client_id: API_GUARD.clientId }, auth })
  })
  after(() => authority.stop())

  const json = async (url: string) => (await (await fetch(url)).json()) as Record<string, unknown>

  it('both discovery documents are the same one, and promise what is there', async () => {
    const oidc = await json(`${authority.issuer}/.well-known/openid-configuration`)
    const oauth2 = await json(`${authority.issuer}/.well-known/oauth-authorization-server`)
    assert.deepEqual(oidc, oauth2)
    assert.equal(oidc.issuer, authority.issuer)
    assert.deepEqual(oidc.grant_types_supported, ['authorization_code', 'refresh_token'])
    assert.deepEqual(oidc.id_token_signing_alg_values_supported, ['EdDSA'])
    assert.ok((oidc.dpop_signing_alg_values_supported as string[]).includes('ES256'))
    for (const [name, url] of Object.entries(oidc)) {
      if (!name.endsWith('_endpoint') && name !== 'jwks_uri') continue
      const method = /token|revocation|introspection|registration|pushed/.test(name) ? 'POST' : 'GET'
      const response = await fetch(`${url}`, { method, redirect: 'manual' })
      assert.ok(![404, 405, 500].includes(response.status), `${name}: ${response.status}`)
    }
  })

  it('a client that expects another issuer does not take the document (RFC 8414 §3.3)', async () => {
    const response = await oauth.discoveryRequest(new URL(authority.issuer), {
      ...INSECURE,
      algorithm: 'oauth2',
    })
    const elsewhere = new URL('https://login.example')
    await assert.rejects(oauth.processDiscoveryResponse(elsewhere, response), /"issuer"/)
  })

  it('the MCP endpoint describes itself as a protected resource (RFC 9728)', async () => {
    const resource = new URL(`${authority.issuer}/mcp`)
    const response = await oauth.resourceDiscoveryRequest(resource, INSECURE)
    assert.equal(response.url, `${authority.issuer}/.well-known/oauth-protected-resource/mcp`)
    const described = await oauth.processResourceDiscoveryResponse(resource, response)
    assert.deepEqual(described.authorization_servers, [authority.issuer])
    assert.deepEqual(described.scopes_supported, ['account:read'])
    assert.deepEqual(described.bearer_methods_supported, ['header'])
    assert.ok(app.as.protected_resources?.includes(described.resource), 'RFC 9728 §4')
    const nothing = await fetch(`${authority.issuer}/.well-known/oauth-protected-resource/elsewhere`)
    assert.equal(nothing.status, 404)
  })

  it('the key set has public keys only, and the one that signs', async () => {
    const { keys } = (await json(`${app.as.jwks_uri}`)) as { keys: Record<string, string>[] }
    assert.ok(keys.length > 0)
    for (const key of keys) {
      assert.deepEqual([key.kty, key.alg, key.use], ['OKP', 'EdDSA', 'sig'])
      for (const secret of ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi']) assert.equal(key[secret], undefined)
    }
    const tokens = await app.signIn()
    const { alg, typ, kid } = decodeProtectedHeader(tokens.access_token)
    assert.deepEqual([alg, typ], ['EdDSA', 'at+jwt'])
    assert.ok(keys.some((key) => key.kid === kid))
    assert.equal(decodeProtectedHeader(`${tokens.id_token}`).kid, kid)
  })

  it('an access token validates at the API that it is for, and at no other (RFC 9068 §4)', async () => {
    const tokens = await app.signIn()
    const validate = (token: string, audience: string) =>
      oauth.validateJwtAccessToken(
        app.as,
        new Request(`${API}/notes`, { headers: { authorization: `Bearer ${token}` } }),
        audience,
        INSECURE,
      )
    const claims = await validate(tokens.access_token, API)
    assert.equal(claims.iss, authority.issuer)
    assert.equal(claims.client_id, 'app')
    assert.ok(typeof claims.sid === 'string' && typeof claims.auth_time === 'number')
    assert.equal(claims.scope, 'openid notes:read')
    assert.equal(claims.exp - claims.iat, tokens.expires_in)
    const { status_list: place } = claims.status as { status_list: { idx: number; uri: string } }
    assert.ok(Number.isInteger(place.idx) && place.uri.startsWith(`${authority.issuer}/status-lists/`))
    await assert.rejects(validate(tokens.access_token, 'https://other.example'), /audience|aud/)
    await assert.rejects(validate(`${tokens.id_token}`, 'app'), /typ/, 'an ID token is no access token')
    const [header, , signature] = tokens.access_token.split('.')
    const payload = { ...claimsOf(tokens.access_token), sub: 'somebody' }
    const forged = `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.${signature}`
    await assert.rejects(validate(forged, API), /signature/)
  })

  it('introspection: an API hears of its own tokens, a client of its own, nobody of others’ (RFC 7662)', async () => {
    const [mine, theirs] = [await backend.signIn(), await app.signIn()]
    const seen = await guard.introspect(theirs.access_token)
    const claims = claimsOf(theirs.access_token)
    assert.equal(seen.active, true)
    for (const name of ['sub', 'client_id', 'scope', 'exp', 'iat', 'jti', 'sid', 'iss'] as const) {
      assert.equal(seen[name], claims[name], name)
    }
    assert.equal(seen.token_type, 'Bearer')
    assert.equal((await backend.introspect(mine.refresh_token)).active, true)
    const silent = { active: false }
    assert.deepEqual(await backend.introspect(theirs.access_token), silent)
    assert.deepEqual(await backend.introspect(theirs.refresh_token), silent)
    assert.deepEqual(await guard.introspect(mine.refresh_token), silent)
    assert.deepEqual(await guard.introspect('nonsense'), silent)
    const elsewhere = await app.signIn({ resource: `${authority.issuer}/mcp`, scope: 'account:read' })
    assert.deepEqual(await guard.introspect(elsewhere.access_token), silent, 'for another API')
    assert.deepEqual(await guard.introspect(theirs.id_token), silent)
    assert.deepEqual(await backend.introspect(`${mine.logout_ticket}`), silent)
  })

  it('introspection: a used refresh token, a revoked session and an expired token are inactive', async (t) => {
    const own = await startTestAuthority()
    t.after(() => own.stop())
    const settings = { client: { client_id: 'backend' }, auth: BACKEND_AUTH }
    const client = await createRelyingParty(own.issuer, settings)
    const [kept, ended] = [await client.signIn(), await client.signIn()]
    await client.revoke(`${ended.logout_ticket}`)
    for (const token of [ended.access_token, ended.refresh_token]) {
      assert.deepEqual(await client.introspect(token), { active: false })
    }
    own.advance(60_000)
    const next = await client.refresh(kept.refresh_token)
    own.advance(11_000)
    assert.deepEqual(await client.introspect(kept.refresh_token), { active: false }, 'past its grace')
    assert.equal((await client.introspect(next.refresh_token)).active, true)
    assert.equal((await client.introspect(next.access_token)).active, true)
    own.advance(600_000)
    assert.deepEqual(await client.introspect(next.access_token), { active: false }, 'expired')
    assert.equal((await client.introspect(next.refresh_token)).active, true)
  })

  it('introspection is for those who can prove who they are', async () => {
    const tokens = await app.signIn()
    assert.equal(await errorOf(app.introspect(tokens.access_token)), 'invalid_client', 'a public client')
    const settings = { client: { client_id: 'backend' }, auth: oauth.ClientSecretBasic('a wrong secret') }
    const impostor = await createRelyingParty(authority.issuer, settings)
    await assert.rejects(impostor.introspect(tokens.access_token))
    const { status } = await fetch(`${app.as.introspection_endpoint}`, {
      method: 'POST',
      body: new URLSearchParams({ token: tokens.access_token }),
    })
    assert.equal(status, 401)
  })

  it('userinfo tells what the scopes allow, to a live token only', async () => {
    const plain = await app.signIn({ scope: 'openid notes:read' })
    const sub = `${claimsOf(plain.id_token).sub}`
    assert.deepEqual({ ...(await app.userinfo(plain.access_token, sub)) }, { sub })
    const email = await app.signIn({ scope: 'openid email notes:read' })
    assert.deepEqual(
      { ...(await app.userinfo(email.access_token, sub)) },
      { sub, email: PERSON.email, email_verified: false },
    )
    const all = await app.signIn({ scope: 'openid email profile' })
    assert.equal((await app.userinfo(all.access_token, sub)).name, PERSON.name)
    const none = await app.signIn({ scope: 'notes:read' })
    assert.equal(await errorOf(app.userinfo(none.access_token)), 'invalid_token', 'without openid')
    await post(`${authority.issuer}/v1/revoke`, { accessToken: all.access_token })
    assert.equal(await errorOf(app.userinfo(all.access_token)), 'invalid_token', 'revoked')
  })
})
