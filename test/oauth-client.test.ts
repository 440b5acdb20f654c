import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as oauth from 'oauth4webapi'
import { type Browser, createBrowser, signInThrough } from '../tools/browser.ts'
import { API, API_GUARD, CALLBACK, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives } from './sign-in.ts'

/* A client that we did not write, through everything it knows to do. */

const INSECURE = { [oauth.allowInsecureRequests]: true }
const APP: oauth.Client = { client_id: 'app' }
const BACKEND: oauth.Client = { client_id: 'backend' }
const BACKEND_AUTH = oauth.ClientSecretBasic('the secret of the backend')

describe('oauth4webapi', () => {
  let authority: TestAuthority
  let as: oauth.AuthorizationServer
  before(async () => {
    authority = await startTestAuthority()
    const issuer = new URL(authority.issuer)
    const response = await oauth.discoveryRequest(issuer, { ...INSECURE, algorithm: 'oauth2' })
    as = await oauth.processDiscoveryResponse(issuer, response)
  })
  after(() => authority.stop())

  type Options = {
    client?: oauth.Client
    auth?: oauth.ClientAuth
    browser?: Browser
    parameters?: Record<string, string>
    DPoP?: oauth.DPoPHandle
    par?: boolean
  }

  async function signIn(options: Options = {}) {
    const { client = APP, auth = oauth.None(), browser = createBrowser(), parameters = {}, DPoP } = options
    const verifier = oauth.generateRandomCodeVerifier()
    const state = oauth.generateRandomState()
    const request = new URLSearchParams({
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri: CALLBACK,
      scope: 'openid notes:read',
      resource: API,
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...parameters,
    })
    const url = new URL(`${as.authorization_endpoint}`)
    url.search = request.toString()
    if (options.par) {
      const pushed = await oauth.pushedAuthorizationRequest(as, client, auth, request, { ...INSECURE, DPoP })
      const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, pushed)
      url.search = new URLSearchParams({ client_id: client.client_id, request_uri }).toString()
    }
    const back = await signInThrough(browser, url.href, PERSON, /^https:\/\/app\.example\//)
    // Checks state and iss (RFC 9207), which the metadata promise.
    const callback = oauth.validateAuthResponse(as, client, back, state)
    const more = { ...INSECURE, DPoP }
    const send = () =>
      oauth.authorizationCodeGrantRequest(as, client, auth, callback, CALLBACK, verifier, more)
    return oauth.processAuthorizationCodeResponse(as, client, await send())
  }

  async function refresh(token: string, options: Options = {}) {
    const { client = APP, auth = oauth.None(), DPoP } = options
    const response = await oauth.refreshTokenGrantRequest(as, client, auth, token, { ...INSECURE, DPoP })
    return oauth.processRefreshTokenResponse(as, client, response)
  }
  const refused = (work: Promise<unknown>, error: string) =>
    assert.rejects(work, (thrown: oauth.ResponseBodyError) => {
      assert.equal(thrown.error, error, `${thrown.error_description}`)
      return true
    })

  it('finds everything in the metadata', async () => {
    const oidc = await oauth.discoveryRequest(new URL(authority.issuer), { ...INSECURE, algorithm: 'oidc' })
    const openid = await oauth.processDiscoveryResponse(new URL(authority.issuer), oidc)
    assert.equal(openid.revocation_endpoint, as.revocation_endpoint)
    assert.deepEqual(as.code_challenge_methods_supported, ['S256'])
    assert.deepEqual(as.response_types_supported, ['code'])
    assert.equal(as.authorization_response_iss_parameter_supported, true)
    for (const name of [
      'introspection',
      'revocation',
      'userinfo',
      'registration',
      'pushed_authorization_request',
    ]) {
      assert.ok(`${as[`${name}_endpoint`]}`.startsWith(authority.issuer), name)
    }
  })

  it('code and PKCE, refresh, introspect, userinfo, revoke', async () => {
    const tokens = await signIn({
      client: BACKEND,
      auth: BACKEND_AUTH,
      parameters: { scope: 'openid email profile notes:read' },
    })
    assert.equal(typeof tokens.logout_ticket, 'string')
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    assert.ok(claims)
    const info = await oauth.userInfoRequest(as, BACKEND, tokens.access_token, INSECURE)
    const person = await oauth.processUserInfoResponse(as, BACKEND, claims.sub, info)
    assert.deepEqual([person.email, person.name], [PERSON.email, PERSON.name])

    const next = await refresh(`${tokens.refresh_token}`, { client: BACKEND, auth: BACKEND_AUTH })
    assert.notEqual(next.refresh_token, tokens.refresh_token)
    assert.equal(next.logout_ticket, undefined, 'a ticket comes once')
    const introspect = async (client: oauth.Client, auth: oauth.ClientAuth, token: string) => {
      const response = await oauth.introspectionRequest(as, client, auth, token, INSECURE)
      return oauth.processIntrospectionResponse(as, client, response)
    }
    const guard = { client_id: API_GUARD.clientId }
    const guardAuth = oauth.ClientSecretBasic(API_GUARD.clientSecret)
    const seen = await introspect(guard, guardAuth, next.access_token)
    assert.deepEqual([seen.active, seen.sub, seen.client_id], [true, claims.sub, 'backend'])
    assert.equal((await introspect(BACKEND, BACKEND_AUTH, `${next.refresh_token}`)).active, true)
    assert.equal(
      (await introspect(guard, guardAuth, `${next.refresh_token}`)).active,
      false,
      'not the API’s business',
    )

    for (const token of [next.access_token, `${next.refresh_token}`]) {
      const response = await oauth.revocationRequest(as, BACKEND, BACKEND_AUTH, token, INSECURE)
      await oauth.processRevocationResponse(response)
      assert.deepEqual(await introspect(BACKEND, BACKEND_AUTH, token), { active: false })
    }
    await refused(refresh(`${next.refresh_token}`, { client: BACKEND, auth: BACKEND_AUTH }), 'invalid_grant')
  })

  it('the access token validates as RFC 9068 has it', async () => {
    const tokens = await signIn()
    const request = new Request(`${API}/notes`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    })
    const claims = await oauth.validateJwtAccessToken(
      { ...as, jwks_uri: as.jwks_uri },
      request,
      API,
      INSECURE,
    )
    assert.equal(claims.client_id, 'app')
    assert.ok(typeof claims.sid === 'string' && typeof claims.auth_time === 'number')
    assert.ok(claims.exp - claims.iat === 600)
  })

  it('DPoP: tokens are bound to the key, a proof works once', async () => {
    const key = await oauth.generateKeyPair('ES256')
    const DPoP = oauth.DPoP(APP, key)
    const tokens = await signIn({ DPoP })
    assert.equal(tokens.token_type, 'dpop')
    assert.equal(await lives(authority.issuer, tokens.access_token), false, 'as a bearer token')
    const url = new URL(`${authority.issuer}/v1/session`)
    const ask = () =>
      oauth.protectedResourceRequest(tokens.access_token, 'GET', url, undefined, undefined, {
        ...INSECURE,
        DPoP,
      })
    assert.equal((await ask()).status, 200)

    await refused(refresh(`${tokens.refresh_token}`), 'invalid_grant')
    const other = oauth.DPoP(APP, await oauth.generateKeyPair('ES256'))
    await refused(refresh(`${tokens.refresh_token}`, { DPoP: other }), 'invalid_grant')
    const next = await refresh(`${tokens.refresh_token}`, { DPoP })
    assert.equal(next.token_type, 'dpop')

    let proof = ''
    const spy = {
      ...INSECURE,
      DPoP,
      [oauth.customFetch]: (target: string, init: RequestInit) => {
        proof ||= new Headers(init.headers).get('dpop') ?? ''
        return fetch(target, { ...init, headers: { ...(init.headers as object), dpop: proof } })
      },
    }
    const again = async (token: string) =>
      oauth.processRefreshTokenResponse(
        as,
        APP,
        await oauth.refreshTokenGrantRequest(as, APP, oauth.None(), token, spy as never),
      )
    const third = await again(`${next.refresh_token}`)
    await refused(again(`${third.refresh_token}`), 'invalid_dpop_proof')
    const replay = () => fetch(url, { headers: { authorization: `DPoP ${third.access_token}`, dpop: proof } })
    assert.equal((await replay()).status, 401, 'a proof of another request')
  })

  it('PAR: the request is pushed, and its reference works once', async () => {
    const tokens = await signIn({ client: BACKEND, auth: BACKEND_AUTH, par: true })
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
  })

  it('PKCE is not optional and S256 is the only method', async () => {
    for (const parameters of [
      { code_challenge: '', code_challenge_method: '' },
      { code_challenge_method: 'plain' },
    ] as Record<string, string>[]) {
      const url = new URL(`${as.authorization_endpoint}`)
      const challenge = await oauth.calculatePKCECodeChallenge(oauth.generateRandomCodeVerifier())
      const base = {
        response_type: 'code',
        client_id: 'app',
        redirect_uri: CALLBACK,
        code_challenge: challenge,
      }
      const all = { ...base, ...parameters }
      url.search = new URLSearchParams(Object.entries(all).filter(([, value]) => value)).toString()
      const back = await createBrowser().open(url.href, /^https:\/\/app\.example\//)
      assert.equal(new URL(back.url).searchParams.get('error'), 'invalid_request')
    }
  })

  it('no scope gets what the resource offers, another resource than the granted one gets nothing', async () => {
    const tokens = await signIn({ parameters: { scope: '' } })
    assert.equal(tokens.scope, 'notes:read notes:write')
    const elsewhere = { ...INSECURE, additionalParameters: { resource: `${authority.issuer}/mcp` } }
    const refreshing = oauth.refreshTokenGrantRequest(
      as,
      APP,
      oauth.None(),
      `${tokens.refresh_token}`,
      elsewhere,
    )
    await refused(
      refreshing.then((response) => oauth.processRefreshTokenResponse(as, APP, response)),
      'invalid_target',
    )
    const narrower = { ...INSECURE, additionalParameters: { scope: 'notes:read' } }
    const response = await oauth.refreshTokenGrantRequest(
      as,
      APP,
      oauth.None(),
      `${tokens.refresh_token}`,
      narrower,
    )
    assert.equal((await oauth.processRefreshTokenResponse(as, APP, response)).scope, 'notes:read')
    await refused(
      signIn({ parameters: { resource: 'https://unknown.example' } }).catch((error) => {
        throw Object.assign(error, { error: error.cause?.get?.('error') ?? error.error })
      }),
      'invalid_target',
    )
  })

  it('a client registers, reads and removes itself', async () => {
    const metadata = { redirect_uris: [CALLBACK], client_name: 'New', token_endpoint_auth_method: 'none' }
    const response = await oauth.dynamicClientRegistrationRequest(as, metadata, INSECURE)
    const client = await oauth.processDynamicClientRegistrationResponse(response)
    const tokens = await signIn({ client })
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    const manage = { headers: { authorization: `Bearer ${client.registration_access_token}` } }
    const read = await fetch(`${client.registration_client_uri}`, manage)
    assert.equal(((await read.json()) as oauth.Client).client_id, client.client_id)
    const gone = await fetch(`${client.registration_client_uri}`, { ...manage, method: 'DELETE' })
    assert.equal(gone.status, 204)
    await refused(refresh(`${tokens.refresh_token}`, { client }), 'invalid_client')
  })

  it('each sign-in is a session of its own, also in one browser', async () => {
    const browser = createBrowser()
    const [first, second] = [await signIn({ browser }), await signIn({ browser })]
    const sidOf = (token: string) => JSON.parse(atob(`${token.split('.')[1]}`)).sid
    assert.notEqual(sidOf(first.access_token), sidOf(second.access_token))
    const response = await oauth.revocationRequest(as, APP, oauth.None(), `${first.logout_ticket}`, INSECURE)
    await oauth.processRevocationResponse(response)
    assert.equal(await lives(authority.issuer, first.access_token), false)
    assert.equal(await lives(authority.issuer, second.access_token), true)
  })

  it('logging out at the authority ends the sessions of that browser', async () => {
    const browser = createBrowser()
    const tokens = await signIn({ browser })
    const elsewhere = await signIn()
    const url = new URL(`${as.end_session_endpoint}`)
    url.searchParams.set('id_token_hint', `${tokens.id_token}`)
    const page = await browser.open(url.href)
    assert.equal(page.status, 200)
    const confirmed = await browser.submit(page, /logout\/confirm/, { logout: 'yes' })
    assert.equal(confirmed.status, 200)
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    await refused(refresh(`${tokens.refresh_token}`), 'invalid_grant')
    assert.equal(await lives(authority.issuer, elsewhere.access_token), true)
  })
})
