// Signing in by hand: authorization code with PKCE, as RFC 9700 asks of a browser app. Nothing here touches the page.

/** @typedef {{ issuer: string, clientId: string, api: string, resource: string, redirectUri: string }} Config */
/** @typedef {{ accessToken: string, refreshToken: string, idToken?: string }} Tokens */

const scope = 'openid offline_access notes:read'
const remembered = 'rescind-example-sign-in'

/** What the authority refused, with the code that it gave. */
export class Refusal extends Error {
  constructor(code, message, status) {
    super(message)
    this.name = 'Refusal'
    this.code = code
    this.status = status
  }
}

/** Leaves the page for the authority. Only what is needed to finish is kept, and only in this tab. */
export async function beginSignIn(config) {
  const verifier = randomText()
  const state = randomText()
  const nonce = randomText()
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
  sessionStorage.setItem(remembered, JSON.stringify({ verifier, state, nonce }))
  const url = new URL(endpoint(config, '/oauth/authorize'))
  url.search = new URLSearchParams({
    response_type: 'code',
    client_id: config.clientId,
    redirect_uri: config.redirectUri,
    scope,
    resource: config.resource,
    prompt: 'consent',
    state,
    nonce,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: 'S256',
  }).toString()
  location.assign(url)
}

/**
 * Turns the answer in the address into tokens. What was remembered is forgotten first, so an answer is looked at once.
 * @param {Config} config
 * @param {URLSearchParams} answer
 */
export async function finishSignIn(config, answer) {
  const kept = JSON.parse(sessionStorage.getItem(remembered) ?? 'null')
  sessionStorage.removeItem(remembered)
  if (!kept) throw new Error('This tab did not start a sign-in. Please start again.')
  if (answer.get('state') !== kept.state) throw new Error('The answer belongs to another sign-in (state).')
  // RFC 9207: an answer must say which authority gave it, so that two can't be mixed up.
  if (answer.get('iss') !== config.issuer) throw new Error('The answer came from another authority (iss).')
  const error = answer.get('error')
  if (error === 'access_denied') throw new Refusal(error, 'You did not allow it.')
  if (error) throw new Refusal(error, `The authority refused: ${answer.get('error_description') ?? error}`)
  const code = answer.get('code')
  if (!code) throw new Error('The answer carries no code.')

  const tokens = await requestTokens(config, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: config.redirectUri,
    code_verifier: kept.verifier,
    resource: config.resource,
  })
  const identity = readIdentity(config, tokens, kept.nonce)
  return { tokens, identity }
}

/** The next pair. A refresh token is good for one use, so the old one is replaced with what comes back. */
export async function refresh(config, tokens) {
  const next = await requestTokens(config, {
    grant_type: 'refresh_token',
    refresh_token: tokens.refreshToken,
    resource: config.resource,
  })
  return { ...next, refreshToken: next.refreshToken ?? tokens.refreshToken }
}

/** `revoke_oauth_tokens` over plain HTTP: holding the tokens is the proof. */
export async function revoke(config, { accessToken, refreshToken }) {
  const response = await fetch(endpoint(config, '/v1/revoke'), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ accessToken, refreshToken }),
  })
  const body = await response.json().catch(() => ({}))
  if (!response.ok) {
    throw new Refusal(
      body.code ?? String(response.status),
      body.error ?? response.statusText,
      response.status,
    )
  }
  return body
}

/**
 * What a token says about itself, unchecked. An app has no business in its access token; this one looks so that you
 * can see the session.
 */
export function claimsOf(jwt) {
  try {
    const payload = jwt.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0))
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return {}
  }
}

async function requestTokens(config, parameters) {
  const response = await fetch(endpoint(config, '/oauth/token'), {
    method: 'POST',
    body: new URLSearchParams({ client_id: config.clientId, ...parameters }),
  })
  const body = await response.json().catch(() => ({}))
  if (!response.ok) {
    const code = body.error ?? String(response.status)
    throw new Refusal(code, body.error_description ?? code, response.status)
  }
  return { accessToken: body.access_token, refreshToken: body.refresh_token, idToken: body.id_token }
}

/** The ID token came straight from the token endpoint, so its claims are checked and its signature need not be. */
function readIdentity(config, tokens, nonce) {
  const claims = claimsOf(tokens.idToken ?? '')
  const meantForUs = [claims.aud].flat().includes(config.clientId)
  const fresh = claims.exp > Date.now() / 1000 - 60
  if (claims.iss !== config.issuer || !meantForUs || claims.nonce !== nonce || !fresh) {
    throw new Error('The ID token is not the answer to this sign-in.')
  }
  return claims
}

function endpoint(config, path) {
  return config.issuer.replace(/\/+$/, '') + path
}

function randomText() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}
