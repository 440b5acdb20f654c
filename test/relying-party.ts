import * as oauth from 'oauth4webapi'
import { type Browser, createBrowser, signInThrough } from '../tools/browser.ts'
import { API, CALLBACK, PERSON } from './setup.ts'

/* An app on a client library that we did not write. It checks what it gets before it hands it on. */

export const INSECURE = { [oauth.allowInsecureRequests]: true }
export const DONE = /^https:\/\/app\.example\//

export type RelyingParty = Awaited<ReturnType<typeof createRelyingParty>>
type Settings = {
  client?: oauth.Client
  auth?: oauth.ClientAuth
  DPoP?: oauth.DPoPHandle
  /** In place of `fetch`, for whoever wants to see or change what is sent. */
  send?: typeof fetch
}

/** An app that has discovered an authority (RFC 8414). */
export async function createRelyingParty(issuer: string, settings: Settings = {}) {
  const { client = { client_id: 'app' }, auth = oauth.None(), DPoP, send } = settings
  const options = { ...INSECURE, DPoP, ...(send ? { [oauth.customFetch]: send as never } : {}) }
  const found = await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oauth2' })
  const as = await oauth.processDiscoveryResponse(new URL(issuer), found)

  /** An authorization request, and how its answer becomes tokens. */
  async function begin(changes: Record<string, string | undefined> = {}) {
    const verifier = oauth.generateRandomCodeVerifier()
    const state = oauth.generateRandomState()
    const all = {
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri: CALLBACK,
      scope: 'openid notes:read',
      resource: API,
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...changes,
    }
    const parameters = new URLSearchParams()
    for (const [name, value] of Object.entries(all)) if (value !== undefined) parameters.set(name, value)
    const url = new URL(`${as.authorization_endpoint}`)
    url.search = parameters.toString()
    async function finish(back: URL, givenVerifier = verifier) {
      const callback = oauth.validateAuthResponse(as, client, back, state)
      const response = await oauth.authorizationCodeGrantRequest(
        as,
        client,
        auth,
        callback,
        CALLBACK,
        givenVerifier,
        options,
      )
      return oauth.processAuthorizationCodeResponse(as, client, response)
    }
    return { parameters, url, state, verifier, finish }
  }
  return {
    as,
    begin,
    async push(parameters: URLSearchParams) {
      const response = await oauth.pushedAuthorizationRequest(as, client, auth, parameters, options)
      const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, response)
      const url = new URL(`${as.authorization_endpoint}`)
      url.search = new URLSearchParams({ client_id: client.client_id, request_uri }).toString()
      return url
    },
    /** Signs a person in through the pages. */
    async signIn(changes: Record<string, string | undefined> = {}, browser: Browser = createBrowser()) {
      const request = await begin(changes)
      return request.finish(await signInThrough(browser, request.url.href, PERSON, DONE))
    },
    async refresh(token: string | undefined, changes: Record<string, string> = {}, proof = DPoP) {
      const more = { ...options, DPoP: proof, additionalParameters: changes }
      const response = await oauth.refreshTokenGrantRequest(as, client, auth, `${token}`, more)
      return oauth.processRefreshTokenResponse(as, client, response)
    },
    async introspect(token: string | undefined) {
      const response = await oauth.introspectionRequest(as, client, auth, `${token}`, options)
      return oauth.processIntrospectionResponse(as, client, response)
    },
    async userinfo(token: string, sub: string | typeof oauth.skipSubjectCheck = oauth.skipSubjectCheck) {
      const response = await oauth.userInfoRequest(as, client, token, options)
      return oauth.processUserInfoResponse(as, client, sub, response)
    },
    async revoke(token: string | undefined) {
      const response = await oauth.revocationRequest(as, client, auth, `${token}`, options)
      await oauth.processRevocationResponse(response)
    },
    /** Asks with an access token, and with its proof where it is bound. */
    ask: (token: string, url: string, method = 'GET') =>
      oauth.protectedResourceRequest(token, method, new URL(url), undefined, undefined, options),
  }
}

/** What went wrong, as the library read it from the answer. */
export async function errorOf(work: Promise<unknown>): Promise<string> {
  const thrown = (await work.then(
    () => {
      throw new Error('it was answered')
    },
    (error: unknown) => error,
  )) as { error?: string; message: string; cause?: unknown }
  if (thrown.error !== undefined) return thrown.error
  const challenge = Array.isArray(thrown.cause) ? thrown.cause[0] : undefined
  const word = (challenge as { parameters?: { error?: string } } | undefined)?.parameters?.error
  return word ?? thrown.message
}

/** The claims of a JWT, unverified. */
export function claimsOf(jwt: string | undefined): Record<string, unknown> {
  return JSON.parse(Buffer.from(`${jwt?.split('.')[1]}`, 'base64url').toString('utf8'))
}
