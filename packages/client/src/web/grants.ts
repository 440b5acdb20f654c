import * as oauth from 'oauth4webapi'
import { RescindClientError } from '../errors.ts'
import type { Claims, Tokens } from '../platform.ts'

/** What a sign-in may ask for. */
export type SignInOptions = {
  /** Where in the app the person wants to be afterwards; a path. */
  returnTo?: string
  /** How old the sign-in may be, in s; an older one asks for the password again (RFC 9470). */
  maxAge?: number
  /** How strong it has to be (RFC 9470). */
  acrValues?: string
  prompt?: 'login' | 'consent' | 'none'
  loginHint?: string
}

type Parts = { authority: string; clientId: string; redirectUri: string; scope: string; resource?: string }

/** What the token endpoint may answer, member by member. */
type Answer = Record<
  | 'access_token'
  | 'token_type'
  | 'refresh_token'
  | 'logout_ticket'
  | 'id_token'
  | 'error'
  | 'error_description',
  string
> & { expires_in: number }

/** What of a sign-in has to outlive the way to the authority and back. */
type Begun = { verifier: string; state: string; nonce: string; returnTo?: string }

/** Code with PKCE (RFC 7636), `iss` (RFC 9207), resource indicators (RFC 8707), DPoP (RFC 9449): through `oauth4webapi`. */
export function createGrants({ authority, clientId, redirectUri, scope, resource }: Parts) {
  // Where a Rescind authority has its endpoints; they need not be asked for.
  const as: oauth.AuthorizationServer = {
    issuer: authority,
    token_endpoint: `${authority}/oauth/token`,
    authorization_response_iss_parameter_supported: true,
  }
  const client: oauth.Client = { client_id: clientId }
  const key = `rescind:${clientId}`

  /** How to prove that one holds the key: the same for each request with it, as it keeps what servers ask of proofs. */
  const provers = new WeakMap<object, { DPoP: oauth.DPoPHandle; skew: number }>()
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
    nonce?: string,
    again = false,
  ): Promise<Tokens> {
    const DPoP = dpop(before)
    const additionalParameters = resource ? { resource } : undefined
    const response = await request({ [oauth.allowInsecureRequests]: true, DPoP, additionalParameters })
    const answer: Answer = await response.json()
    if (response.ok) return read(answer, before, nonce)
    const { error, error_description } = answer
    const theirs = Date.parse(response.headers.get('date') ?? '')
    if (error === 'invalid_dpop_proof' && theirs && !again)
      return ask({ ...before, skew: Math.round((theirs - Date.now()) / 1000) }, request, nonce, true)
    // Whatever else is wrong, the session may well live.
    const code = error === 'invalid_grant' ? 'REFUSED' : 'UNAVAILABLE'
    throw new RescindClientError(code, error_description ?? `answered ${response.status}`, error)
  }

  /**
   * What an answer of the token endpoint gives. It came straight from there, so the signature of its ID token need not be
   * checked (OpenID Connect Core §3.1.3.7, point 6); that it is the answer to this sign-in has to be.
   */
  function read(answer: Answer, before: Partial<Tokens>, nonce?: string): Tokens {
    const { access_token, token_type, expires_in, refresh_token, logout_ticket, id_token } = answer
    const claims = claimsOf(id_token)
    const ticket = logout_ticket ?? before.ticket
    const { iss, aud, sid, sub } = claims
    const fits = iss === authority && [aud].flat().includes(clientId) && sid && sub && access_token && ticket
    if (!fits || !/^dpop$/i.test(token_type) || (nonce && claims.nonce !== nonce))
      throw new Error('not the answer to it')
    return {
      ...before,
      accessToken: access_token,
      expiresAt: Date.now() + expires_in * 1000,
      refreshToken: refresh_token ?? before.refreshToken,
      ticket,
      claims,
    } as Tokens
  }

  return {
    /** The address that signs somebody in. */
    async begin({ returnTo, maxAge, acrValues, prompt, loginHint }: SignInOptions): Promise<string> {
      const [verifier, state, nonce] = [0, 1, 2].map(oauth.generateRandomCodeVerifier) as [
        string,
        string,
        string,
      ]
      sessionStorage.setItem(key, JSON.stringify({ verifier, state, nonce, returnTo } satisfies Begun))
      const parameters = {
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        scope,
        resource,
        state,
        nonce,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        max_age: maxAge,
        acr_values: acrValues,
        prompt,
        login_hint: loginHint,
      }
      const given = Object.entries(parameters).filter(([, value]) => value !== undefined) as [
        string,
        string,
      ][]
      return `${authority}/oauth/authorize?${new URLSearchParams(given)}`
    },

    /**
     * The tokens that an answer of the authority is worth. It is looked at once.
     * @throws RescindClientError SIGN_IN_FAILED
     */
    async finish(url: URL): Promise<{ tokens: Tokens; returnTo?: string }> {
      const begun = JSON.parse(sessionStorage.getItem(key) ?? '{}') as Partial<Begun>
      sessionStorage.removeItem(key)
      const { verifier = '', state = '-', nonce = '', returnTo } = begun
      try {
        const parameters = oauth.validateAuthResponse(as, client, url, state)
        // Nothing can read it out of the browser.
        const proof = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
        const given = [as, client, oauth.None(), parameters, redirectUri, verifier] as const
        const request = (options: object) => oauth.authorizationCodeGrantRequest(...given, options)
        return { tokens: await ask({ proof }, request, nonce), returnTo }
      } catch (cause) {
        const { reason, error } = cause as { reason?: string; error?: string }
        const message = `The sign-in failed: ${(cause as Error).message}. Call \`signIn()\` again.`
        throw new RescindClientError('SIGN_IN_FAILED', message, reason ?? error, cause)
      }
    },

    /** @throws RescindClientError REFUSED, or what the network threw */
    async refresh(tokens: Tokens, signal: AbortSignal): Promise<Tokens> {
      return ask(tokens, (options) =>
        oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refreshToken ?? '-', {
          ...options,
          signal,
        }),
      )
    },

    async send(request: Request, tokens: Tokens): Promise<Response> {
      const { accessToken } = tokens
      const prover = dpop(tokens) as unknown as Prover
      const headers = new Headers(request.headers)
      const url = new URL(request.url)
      await prover.addProof(url, headers, request.method, accessToken)
      headers.set('authorization', `DPoP ${accessToken}`)
      const response = await fetch(new Request(request, { headers }))
      prover.cacheNonce(response, url)
      return response
    },
  }
}

/**
 * What a DPoP handle of the library has, besides what its types say. Its own request to an API would bring a parser of
 * challenges, which is a twentieth of what may be loaded; its version is pinned.
 */
type Prover = {
  addProof(url: URL, headers: Headers, method: string, accessToken: string): Promise<void>
  cacheNonce(response: Response, url: URL): void
}

function claimsOf(jwt: string): Claims {
  const payload = `${jwt}`.split('.')[1] ?? ''
  const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (one) =>
    one.charCodeAt(0),
  )
  return JSON.parse(new TextDecoder().decode(bytes))
}
