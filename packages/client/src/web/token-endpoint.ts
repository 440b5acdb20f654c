import * as oauth from 'oauth4webapi'
import { RescindClientError } from '../errors.ts'
import type { Claims, Tokens } from '../platform.ts'

/** What the token endpoint may answer, member by member. */
type Answer = Record<
  'access_token' | 'refresh_token' | 'logout_ticket' | 'id_token' | 'error' | 'error_description',
  string
> & { expires_in: number }

type Parts = { authority: string; client: oauth.Client; resource?: string }

/** Asks the token endpoint and APIs, with tokens and the proof of their key. */
export function createTokenEndpoint({ authority, client, resource }: Parts) {
  const provers = new WeakMap<object, { DPoP: oauth.DPoPHandle; skew: number }>()
  /** How to prove that one holds the key: the same for each request with it, as it keeps what servers ask of proofs. */
  function dpop({ proof, skew = 0 }: Partial<Tokens>): oauth.DPoPHandle {
    const key = proof as CryptoKeyPair
    let known = provers.get(key)
    if (known?.skew !== skew) {
      known = { skew, DPoP: oauth.DPoP({ ...client, [oauth.clockSkew]: skew }, key) }
      provers.set(key, known)
    }
    return known.DPoP
  }

  /**
   * Asks the token endpoint; once more with the authority’s time, where this device’s clock is so wrong that a proof of now
   * is refused.
   * @throws RescindClientError REFUSED, UNAVAILABLE, with the error of RFC 6749 §5.2 as its reason; or what the network threw
   */
  async function ask(
    before: Partial<Tokens>,
    request: (options: oauth.TokenEndpointRequestOptions) => Promise<Response>,
    again = false,
  ): Promise<Tokens> {
    const DPoP = dpop(before)
    const additionalParameters = resource ? { resource } : undefined
    const response = await request({ [oauth.allowInsecureRequests]: true, DPoP, additionalParameters })
    const answer: Answer = await response.json()
    if (response.ok) return read(answer, before, authority, client.client_id)
    const { error, error_description } = answer
    const theirs = Date.parse(response.headers.get('date') ?? '')
    if (error === 'invalid_dpop_proof' && theirs && !again)
      return ask({ ...before, skew: Math.round((theirs - Date.now()) / 1000) }, request, true)
    // Whatever else is wrong, the session may well live.
    const code = error === 'invalid_grant' ? 'REFUSED' : 'UNAVAILABLE'
    throw new RescindClientError(code, error_description ?? `answered ${response.status}`, error)
  }

  /** Sends a request to an API, with its token and the proof of its key (RFC 9449 §7.1). */
  async function send(request: Request, tokens: Tokens): Promise<Response> {
    const { accessToken } = tokens
    const prover = dpop(tokens) as unknown as Prover
    const headers = new Headers(request.headers)
    const url = new URL(request.url)
    await prover.addProof(url, headers, request.method, accessToken)
    headers.set('authorization', `DPoP ${accessToken}`)
    const response = await fetch(new Request(request, { headers }))
    prover.cacheNonce(response, url)
    return response
  }

  return { ask, send }
}

/**
 * What an answer of the token endpoint gives. It came straight from there, so the signature of its ID token need not be
 * checked (OpenID Connect Core §3.1.3.7, point 6); that it is the answer to this sign-in, PKCE makes sure.
 */
function read(answer: Answer, before: Partial<Tokens>, authority: string, clientId: string): Tokens {
  const { access_token, expires_in, refresh_token, logout_ticket, id_token } = answer
  const claims = claimsOf(id_token)
  const ticket = logout_ticket ?? before.ticket
  const { iss, aud, sid, sub } = claims
  const fits = iss === authority && [aud].flat().includes(clientId) && sid && sub && access_token && ticket
  if (!fits) throw new Error('it is no answer')
  return {
    ...before,
    accessToken: access_token,
    expiresAt: Date.now() + expires_in * 1000,
    refreshToken: refresh_token ?? before.refreshToken,
    ticket,
    claims,
  } as Tokens
}

function claimsOf(jwt: string): Claims {
  const payload = `${jwt}`.split('.')[1] ?? ''
  const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (one) =>
    one.charCodeAt(0),
  )
  return JSON.parse(new TextDecoder().decode(bytes))
}

/**
 * What a DPoP handle of the library has, besides what its types say. Its own request to an API would bring a parser of
 * challenges, which is a twentieth of what may be loaded; its version is pinned.
 */
type Prover = {
  addProof(url: URL, headers: Headers, method: string, accessToken: string): Promise<void>
  cacheNonce(response: Response, url: URL): void
}
