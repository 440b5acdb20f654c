import { createHash, randomBytes } from 'node:crypto'
import { type Browser, createBrowser, signInThrough } from '../tools/browser.ts'
import { API, CALLBACK, PERSON } from './setup.ts'

export type Tokens = {
  access_token: string
  refresh_token: string
  logout_ticket: string
  id_token?: string
  scope: string
  expires_in: number
  token_type: string
}

export type SignInOptions = {
  clientId?: string
  scope?: string
  resource?: string
  browser?: Browser
  person?: { email: string; password: string }
}

const BACKEND_SECRET = 'the secret of the backend'

/** The authorization request, and the verifier to exchange its code with. */
export function authorizationRequest(issuer: string, options: SignInOptions = {}) {
  const verifier = randomBytes(32).toString('base64url')
  const url = new URL(`${issuer}/oauth/authorize`)
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: options.clientId ?? 'app',
    redirect_uri: CALLBACK,
    scope: options.scope ?? 'openid notes:read',
    resource: options.resource ?? API,
    state: 'the-state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  }).toString()
  return { url: url.href, verifier }
}

export async function authorize(issuer: string, options: SignInOptions = {}) {
  const { url, verifier } = authorizationRequest(issuer, options)
  const back = await signInThrough(
    options.browser ?? createBrowser(),
    url,
    options.person ?? PERSON,
    /^https:\/\/app\.example\//,
  )
  return { code: `${back.searchParams.get('code')}`, verifier, back }
}

export function tokenRequest(
  issuer: string,
  fields: Record<string, string>,
  clientId = 'app',
): Promise<Response> {
  const headers: Record<string, string> = {}
  const form = new URLSearchParams(fields)
  if (clientId === 'backend')
    headers.authorization = `Basic ${btoa(`backend:${encodeURIComponent(BACKEND_SECRET)}`)}`
  else form.set('client_id', clientId)
  return fetch(`${issuer}/oauth/token`, { method: 'POST', headers, body: form })
}

export function exchange(
  issuer: string,
  { code, verifier }: { code: string; verifier: string },
  clientId = 'app',
) {
  const fields = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: CALLBACK }
  return tokenRequest(issuer, fields, clientId)
}

/** Signs in through the pages, as a person, and exchanges the code. */
export async function signIn(issuer: string, options: SignInOptions = {}): Promise<Tokens> {
  const response = await exchange(issuer, await authorize(issuer, options), options.clientId)
  if (response.status !== 200) throw new Error(`no tokens: ${response.status} ${await response.text()}`)
  return (await response.json()) as Tokens
}

export function refresh(issuer: string, refreshToken: string, clientId = 'app'): Promise<Response> {
  return tokenRequest(issuer, { grant_type: 'refresh_token', refresh_token: refreshToken }, clientId)
}

export async function refreshed(issuer: string, refreshToken: string, clientId = 'app'): Promise<Tokens> {
  const response = await refresh(issuer, refreshToken, clientId)
  if (response.status !== 200) throw new Error(`not refreshed: ${response.status} ${await response.text()}`)
  return (await response.json()) as Tokens
}

export function post(url: string, body: unknown): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

/** Whether the authority itself still takes an access token. */
export async function lives(issuer: string, accessToken: string): Promise<boolean> {
  const response = await fetch(`${issuer}/v1/session`, {
    headers: { authorization: `Bearer ${accessToken}` },
  })
  return response.status === 200
}
