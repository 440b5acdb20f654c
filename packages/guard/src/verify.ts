import { compactVerify } from 'jose'
import { createCache } from './cache.ts'
import { type AccessTokenClaims, readClaims, TokenInvalid } from './claims.ts'

/** Finds the key that a token names. @throws TokenInvalid when there is none */
export type KeyResolver = (header: { alg: string; kid: string }) => Promise<CryptoKey>

export type Verifier = {
  /**
   * Verifies an access token: signature, issuer, type, times and, where it is given, audience (RFC 9068 §4).
   * @param options.anyTime expired, or of a clock that is ahead of ours: whoever revokes it may
   * @throws TokenInvalid
   */
  verify(token: string, options?: { anyTime?: boolean; audience?: string }): Promise<AccessTokenClaims>
  /** Remembers a token that the caller has just signed itself. */
  remember(token: string, claims: AccessTokenClaims): void
  /** Forgets every token: keys have changed. */
  forget(): void
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
 * @param options.rememberFor a token that is not shown again for so long, in ms, to twice as long, is verified anew
 */
export function createVerifier(options: {
  issuer: string
  keyFor: KeyResolver
  now?: () => number
  cacheSize?: number
  rememberFor?: number
}): Verifier {
  const { issuer, keyFor, now = Date.now, cacheSize = 100_000, rememberFor } = options
  const known = createCache<AccessTokenClaims>(cacheSize, rememberFor)
  async function admit(token: string): Promise<AccessTokenClaims> {
    const { generation } = known
    const claims = await verifySignature(token, { issuer, keyFor })
    if (known.generation !== generation) return admit(token)
    known.set(token, claims)
    return claims
  }
  return {
    remember: known.set,
    forget: known.clear,
    async verify(token, { anyTime = false, audience } = {}) {
      const claims = known.get(token) ?? (await admit(token))
      if (!anyTime) checkTimes(timesOf(claims), now())
      if (audience !== undefined && !claims.aud.includes(audience)) throw new TokenInvalid('audience')
      return claims
    },
  }
}

/** From when to when a token is good, in seconds, for clocks that differ. */
export type Times = { notBefore: number; expires: number }

export function timesOf({ iat, exp }: AccessTokenClaims): Times {
  return { notBefore: iat - FUTURE, expires: exp + SKEW }
}

/**
 * Whether it is the token's time.
 * @param now in ms
 * @throws TokenInvalid `expired`, `malformed` for one of the future
 */
export function checkTimes({ notBefore, expires }: Times, now: number): void {
  if (notBefore * 1000 > now) throw new TokenInvalid('malformed')
  if (expires * 1000 <= now) throw new TokenInvalid('expired')
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

/**
 * Verifies all of an access token that does not change with time (RFC 9068 §4): form, type, algorithm, signature,
 * issuer, claims.
 * @throws TokenInvalid
 */
export async function verifySignature(
  token: string,
  { issuer, keyFor }: { issuer: string; keyFor: KeyResolver },
): Promise<AccessTokenClaims> {
  if (typeof token !== 'string' || token.length > MAX_TOKEN) throw new TokenInvalid('malformed')
  const parts = token.split('.')
  if (parts.length !== 3 || !parts.every(canonical)) throw new TokenInvalid('malformed')
  const { alg, kid, typ, crit } = parse(parts[0] as string)
  if (!ALGORITHMS.includes(alg as string) || !TYPES.includes(typ as string) || crit !== undefined) {
    throw new TokenInvalid('malformed')
  }
  if (typeof kid !== 'string' || kid === '' || kid.length > 200) throw new TokenInvalid('malformed')
  const key = await keyFor({ alg: alg as string, kid })
  try {
    await compactVerify(token, key, { algorithms: ALGORITHMS })
  } catch {
    throw new TokenInvalid('signature')
  }
  const claims = readClaims(parse(parts[1] as string))
  if (claims.iss !== issuer) throw new TokenInvalid('foreign')
  return claims
}
