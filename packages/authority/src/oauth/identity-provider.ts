import type { IncomingMessage } from 'node:http'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  errors,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import type { Authority } from '../authority.ts'
import { hashSecret, sameSecret } from '../domain/secret.ts'
import { RescindError } from '../errors.ts'
import { addressOf } from '../http/address.ts'
import { MAX_TOKEN } from '../revoke.ts'
import { OAuthError, readBasic } from './client-auth.ts'
import type { IdentityProvider } from './identity-provider-settings.ts'

/** What a token of a provider may be signed with; never what both sides would have to know. */
const ALGORITHMS = [
  'EdDSA',
  'Ed25519',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
]
/** A token is good for one request, soon after it was made; in seconds. */
const MAX_AGE = 300
const CLOCK_TOLERANCE = 30
/** A provider's keys that could not be had: its own fault is not the caller's. */
const NO_KEYS = ['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC']

/**
 * Tells which configured identity provider a request comes from: one that sends its secret (`client_secret_basic`), or
 * a JWT that it signed as the bearer token, with the claims of RFC 7523 §3: `iss` its issuer or `client_id`, `aud` the
 * endpoint, and `exp`, `iat`, `jti`; good once, and for five minutes.
 * @param audience the URL of the endpoint
 * @returns a function that throws OAuthError invalid_client, invalid_token; RescindError RATE_LIMITED, UNAVAILABLE
 */
export function createProviderAuthentication(authority: Authority, audience: string) {
  const { identityProviders, trustProxy } = authority.config
  const keys = new Map(identityProviders.map((provider) => [provider, keysOf(provider)]))

  async function signed(token: string): Promise<IdentityProvider | undefined> {
    const iss = claimedIssuer(token)
    const provider = identityProviders.find((one) => iss === one.client_id || iss === one.issuer)
    const key = provider && keys.get(provider)
    if (!provider || !key) return undefined
    const { jti, iat } = await verified(authority, token, key, audience)
    return (await firstUse(authority, provider, `${jti}`, iat as number)) ? provider : undefined
  }

  return async (req: IncomingMessage): Promise<IdentityProvider> => {
    const [, scheme = '', token = ''] = /^(Basic|Bearer) (\S+)$/i.exec(req.headers.authorization ?? '') ?? []
    const bearer = scheme.toLowerCase() === 'bearer'
    const provider = bearer
      ? await signed(token).catch((error) => unlessBad(authority, error))
      : bySecret(identityProviders, `Basic ${token}`)
    if (provider) return provider
    authority.limits.badClient.spend(addressOf(req, trustProxy))
    throw refusal(bearer)
  }
}

function keysOf({ jwks, jwks_uri }: IdentityProvider): JWTVerifyGetKey | undefined {
  if (jwks) return createLocalJWKSet(jwks)
  return jwks_uri === undefined ? undefined : createRemoteJWKSet(new URL(jwks_uri))
}

function bySecret(providers: IdentityProvider[], header: string): IdentityProvider | undefined {
  const basic = readBasic(header)
  const provider = providers.find((one) => one.client_id === basic?.clientId)
  if (!basic || provider?.client_secret === undefined) return undefined
  return sameSecret(hashSecret(basic.secret), hashSecret(provider.client_secret)) ? provider : undefined
}

function claimedIssuer(token: string): string | undefined {
  if (token.length > MAX_TOKEN) return undefined
  return decodeJwt(token).iss
}

async function verified({ now }: Authority, token: string, key: JWTVerifyGetKey, audience: string) {
  const { payload } = await jwtVerify(token, key, {
    audience,
    algorithms: ALGORITHMS,
    requiredClaims: ['exp', 'iat', 'jti'],
    maxTokenAge: MAX_AGE,
    clockTolerance: CLOCK_TOLERANCE,
    currentDate: new Date(now()),
  })
  return payload
}

/** A token that somebody picked up on its way is worth nothing any more (RFC 7523 §3, item 7). */
async function firstUse(
  { store, now }: Authority,
  { client_id }: IdentityProvider,
  jti: string,
  iat: number,
) {
  const id = hashSecret(`${client_id} ${jti}`)
  const record = { op: 'put', model: 'AssertionReplay', id, payload: new Uint8Array(), once: true } as const
  const records = [{ ...record, expiresAt: Math.ceil(iat) + MAX_AGE + 2 * CLOCK_TOLERANCE }]
  const outcome = await store.transact({ kind: 'write', records, audit: [], at: now() })
  return outcome.kind === 'written'
}

/** A token that does not verify is nobody's; that keys can't be read or a use not be written is said as it is. */
function unlessBad({ log }: Authority, error: unknown): undefined {
  if (error instanceof errors.JOSEError && !NO_KEYS.includes(error.code)) return undefined
  if (error instanceof errors.JOSEError || error instanceof TypeError) {
    log.warn({ error: error.message }, 'the keys of an identity provider could not be read')
    throw new RescindError(
      'UNAVAILABLE',
      'The keys of the identity provider can’t be read now. Try again.',
      5,
    )
  }
  throw error
}

function refusal(bearer: boolean): OAuthError {
  const basic = 'Basic realm="rescind", charset="UTF-8"'
  return bearer
    ? new OAuthError(401, 'invalid_token', 'this is no fresh token of a configured identity provider', {
        'www-authenticate': 'Bearer realm="rescind", error="invalid_token"',
      })
    : new OAuthError(401, 'invalid_client', 'this is for configured identity providers', {
        'www-authenticate': `${basic}, Bearer realm="rescind"`,
      })
}
