import * as oauth from 'oauth4webapi'
import { RescindClientError } from '../errors.ts'
import type { Tokens } from '../platform.ts'
import { createTokenEndpoint } from './token-endpoint.ts'

/** What a sign-in may ask for; all but `returnTo` are parameters of the authorization request. */
export type SignInOptions = {
  /** Where in the app the person wants to be afterwards; a path. */
  returnTo?: string
  /** How old the sign-in may be, in s; an older one asks for the password again (RFC 9470). */
  max_age?: number
  /** How strong it has to be (RFC 9470). */
  acr_values?: string
  prompt?: 'login' | 'consent' | 'none'
  login_hint?: string
}

type Parts = { authority: string; clientId: string; redirectUri: string; scope: string; resource?: string }

/** What of a sign-in has to outlive the way to the authority and back. */
type Begun = { verifier: string; state: string; returnTo?: string }

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

  const { ask, send } = createTokenEndpoint({ authority, client, resource })

  return {
    /** The address that signs somebody in. */
    async begin({ returnTo, ...wanted }: SignInOptions): Promise<string> {
      const verifier = oauth.generateRandomCodeVerifier()
      const state = oauth.generateRandomState()
      sessionStorage.setItem(key, JSON.stringify({ verifier, state, returnTo } satisfies Begun))
      const parameters = {
        ...wanted,
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        scope,
        resource,
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      }
      // Without those that are not there.
      return `${authority}/oauth/authorize?${new URLSearchParams(JSON.parse(JSON.stringify(parameters)))}`
    },

    /**
     * The tokens that an answer of the authority is worth. It is looked at once.
     * @throws RescindClientError SIGN_IN_FAILED
     */
    async finish(url: URL): Promise<{ tokens: Tokens; returnTo?: string }> {
      const begun = JSON.parse(sessionStorage.getItem(key) ?? '{}') as Partial<Begun>
      sessionStorage.removeItem(key)
      const { verifier = '', state = '-', returnTo } = begun
      try {
        const parameters = oauth.validateAuthResponse(as, client, url, state)
        // Nothing can read it out of the browser.
        const proof = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
        const given = [as, client, oauth.None(), parameters, redirectUri, verifier] as const
        const request = (options: object) => oauth.authorizationCodeGrantRequest(...given, options)
        return { tokens: await ask({ proof }, request), returnTo }
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

    send,
  }
}
