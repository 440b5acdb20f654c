import { DPOP_ALGORITHMS } from './dpop.ts'
import { GuardError } from './errors.ts'

export type Scheme = 'Bearer' | 'DPoP'

/** What a request needs of its session. */
export type Needs = {
  /** Scopes, all of them. */
  scope?: readonly string[]
  /** Authentication contexts, any of them (RFC 9470 §3). */
  acrValues?: readonly string[]
  /** How long ago the person may have signed in, in seconds (RFC 9470 §3). */
  maxAge?: number
}

/**
 * The refusals of an API: RFC 6750 §3, RFC 9449 §7.1 and RFC 9470 §3, with the way to a token (RFC 9728 §5.1).
 * @param resourceMetadata the URL of the API's metadata
 */
export function createChallenges(resourceMetadata: string | undefined) {
  const challenge = (scheme: Scheme, parameters: Record<string, string>) => {
    const all: Record<string, string> = { ...parameters }
    if (scheme === 'DPoP') all.algs = DPOP_ALGORITHMS.join(' ')
    if (resourceMetadata) all.resource_metadata = resourceMetadata
    const text = Object.entries(all).map(([name, value]) => `${name}="${value}"`)
    return { 'www-authenticate': `${scheme} ${text.join(', ')}`.trim() }
  }
  return {
    /** No token at all: no error code for it (RFC 6750 §3.1). */
    absent: () =>
      new GuardError('AUTHENTICATION_FAILED', 'This request needs an access token.', challenge('Bearer', {})),
    invalid: (scheme: Scheme, reason?: string) =>
      new GuardError(
        'AUTHENTICATION_FAILED',
        'The access token is not valid here: it was revoked, has expired or is not for this API. Sign in again.',
        challenge(scheme, {
          error: 'invalid_token',
          error_description: 'the access token is not valid',
        }),
        reason,
      ),
    proof: () =>
      new GuardError(
        'AUTHENTICATION_FAILED',
        'The DPoP proof does not fit this request. Make a new one for each request.',
        challenge('DPoP', { error: 'invalid_dpop_proof', error_description: 'the proof does not fit' }),
      ),
    scope: (scheme: Scheme, needed: readonly string[]) =>
      new GuardError(
        'INSUFFICIENT_SCOPE',
        `This request needs the scope ${needed.join(' ')}.`,
        challenge(scheme, { error: 'insufficient_scope', scope: needed.join(' ') }),
      ),
    stepUp: (scheme: Scheme, { acrValues, maxAge }: Needs) =>
      new GuardError(
        'INSUFFICIENT_USER_AUTHENTICATION',
        'This request needs a more recent or a stronger sign-in. Sign in again as the challenge says.',
        challenge(scheme, {
          error: 'insufficient_user_authentication',
          error_description: 'a more recent or a stronger sign-in is needed',
          ...(acrValues ? { acr_values: acrValues.join(' ') } : {}),
          ...(maxAge === undefined ? {} : { max_age: `${maxAge}` }),
        }),
      ),
  }
}

export type Challenges = ReturnType<typeof createChallenges>
