import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose'
import { TokenInvalid } from './claims.ts'

/** What a proof may be signed with: nothing symmetric (RFC 9449 §4.3, point 5). */
export const DPOP_ALGORITHMS = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']
/** How far the proof's clock may be off, in seconds. */
const WINDOW = 60
const MAX_PROOF = 8192

export type DpopProof = { jkt: string; jti: string; iat: number }

/**
 * Verifies a DPoP proof (RFC 9449 §4.3). Whether its `jti` was seen before is the caller's to know.
 * @param expected.now the time in ms
 * @returns the thumbprint of the key that was proved, and the proof's `jti` and `iat` (seconds)
 * @throws TokenInvalid `malformed`
 */
export async function verifyDpopProof(
  proof: string,
  expected: { method: string; url: string; accessToken?: string; now: number },
): Promise<DpopProof> {
  if (typeof proof !== 'string' || proof.length > MAX_PROOF) throw new TokenInvalid('malformed')
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    algorithms: DPOP_ALGORITHMS,
    typ: 'dpop+jwt',
    currentDate: new Date(expected.now),
  }).catch(() => {
    throw new TokenInvalid('malformed')
  })
  const { jti, iat, htm, htu, ath } = payload
  const fits =
    typeof jti === 'string' &&
    jti !== '' &&
    jti.length <= 256 &&
    Number.isSafeInteger(iat) &&
    iat !== undefined &&
    Math.abs(expected.now / 1000 - iat) <= WINDOW &&
    htm === expected.method &&
    sameTarget(htu, expected.url) &&
    (expected.accessToken === undefined || ath === sha256(expected.accessToken))
  if (!fits || !protectedHeader.jwk) throw new TokenInvalid('malformed')
  return { jkt: await calculateJwkThumbprint(protectedHeader.jwk), jti, iat }
}

/** Compares without query and fragment (RFC 9449 §4.3, point 9). */
function sameTarget(htu: unknown, url: string): boolean {
  if (typeof htu !== 'string' || !URL.canParse(htu) || !URL.canParse(url)) return false
  const [given, wanted] = [new URL(htu), new URL(url)]
  return given.origin === wanted.origin && given.pathname === wanted.pathname
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
