import { compactVerify } from 'jose'
import { type AccessTokenClaims, readClaims, TokenInvalid } from './claims.ts'

/** Finds the key that a token names. @throws TokenInvalid when there is none */
export type KeyResolver = (header: { alg: string; kid: string }) => Promise<CryptoKey>

export type Verifier = {
  /**
   * Verifies an access token: signature, issuer, type, times and, where it is given, audience (RFC 9068 §4).
   * @throws TokenInvalid
   */
  verify(token: string, options?: { allowExpired?: boolean; audience?: string }): Promise<AccessTokenClaims>
  /** Remembers a token that the caller has just signed itself. */
  remember(token: string, claims: AccessTokenClaims): void
}

/** Longer than any token that the authority makes. */
const MAX_TOKEN = 8192
/** How far our clock may be off, in seconds. */
const SKEW = 5
const FUTURE = 60
const ALGORITHMS = ['EdDSA', 'Ed25519']
const TYPES = ['at+jwt', 'application/at+jwt']

/**
 * A verifier for the tokens of one issuer. A signature is checked once for each token, then remembered, bounded;
 * times and audience are looked at each time.
 * @param options.now the time in ms
 */
export function createVerifier(options: {
  issuer: string
  keyFor: KeyResolver
  now?: () => number
  cacheSize?: number
}): Verifier {
  const { issuer, keyFor, now = Date.now, cacheSize = 100_000 } = options
  const known = new Map<string, AccessTokenClaims>()

  function remember(token: string, claims: AccessTokenClaims) {
    known.set(token, claims)
    if (known.size <= cacheSize) return
    // First in, first out: a token lives minutes, so the oldest one is the likeliest to be over.
    for (const oldest of known.keys()) {
      known.delete(oldest)
      break
    }
  }
  async function check(token: string): Promise<AccessTokenClaims> {
    const claims = await checkSignature(token, keyFor)
    if (claims.iss !== issuer) throw new TokenInvalid('foreign')
    remember(token, claims)
    return claims
  }
  return {
    remember,
    async verify(token, { allowExpired = false, audience } = {}) {
      const claims = known.get(token) ?? (await check(token))
      const seconds = now() / 1000
      if (claims.iat > seconds + FUTURE) throw new TokenInvalid('malformed')
      if (!allowExpired && claims.exp + SKEW <= seconds) {
        known.delete(token)
        throw new TokenInvalid('expired')
      }
      if (audience !== undefined && !claims.aud.includes(audience)) throw new TokenInvalid('audience')
      return claims
    },
  }
}

/** base64url has several spellings for some bytes; a token has one. */
function canonical(part: string): boolean {
  return /^[A-Za-z0-9_-]+$/.test(part) && Buffer.from(part, 'base64url').toString('base64url') === part
}

function parse(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>
  } catch {
    // Falls through: not JSON is as little a token as not an object.
  }
  throw new TokenInvalid('malformed')
}

async function checkSignature(token: string, keyFor: KeyResolver): Promise<AccessTokenClaims> {
  if (typeof token !== 'string' || token.length > MAX_TOKEN) throw new TokenInvalid('malformed')
  const parts = token.split('.')
  if (parts.length !== 3 || !parts.every(canonical)) throw new TokenInvalid('malformed')
  const { alg, kid, typ, crit } = parse(parts[0] as string)
  if (!ALGORITHMS.includes(`${alg}`) || !TYPES.includes(`${typ}`) || crit !== undefined) {
    throw new TokenInvalid('malformed')
  }
  if (typeof kid !== 'string' || kid === '' || kid.length > 200) throw new TokenInvalid('malformed')
  const key = await keyFor({ alg: alg as string, kid })
  try {
    await compactVerify(token, key, { algorithms: ALGORITHMS })
  } catch {
    throw new TokenInvalid('signature')
  }
  return readClaims(parse(parts[1] as string))
}
