import type { IncomingMessage } from 'node:http'
import type { AccessTokenClaims } from '@rescind/guard/claims'
import { verifyDpopProof } from '@rescind/guard/dpop'
import type { Authority } from './authority.ts'
import { hashSecret } from './domain/secret.ts'
import { RescindError } from './errors.ts'
import { claimsOf } from './keys/verifier.ts'

/** The wording that every refusal of a dead or foreign access token has. */
export function authenticationFailed(
  message = 'This request needs a live access token; sign in again to get one.',
): RescindError {
  return new RescindError('AUTHENTICATION_FAILED', message)
}

/**
 * The live access token that a request carries, `Bearer` (RFC 6750) or `DPoP` (RFC 9449), for this audience
 * (any of ours, when none is named).
 * @returns nothing when the request carries no token at all
 * @throws RescindError AUTHENTICATION_FAILED when the one it carries is dead, expired, bound or not ours
 */
export async function authenticate(
  authority: Authority,
  req: IncomingMessage,
  audience?: string,
): Promise<AccessTokenClaims | undefined> {
  const { authorization } = req.headers
  if (authorization === undefined) return undefined
  const [, scheme, token] = /^(Bearer|DPoP) ([^\s]+)$/i.exec(authorization) ?? []
  if (!scheme || !token) throw authenticationFailed('Send the access token as `Authorization: Bearer TOKEN`.')
  await authority.caughtUp()
  const claims = await claimsOf(authority.verifier, token, { audience })
  // Others allow for clocks that differ; ours is the one that the token was made by.
  if (!claims || claims.exp * 1000 <= authority.now()) throw authenticationFailed()
  if (authority.view.dead(claims)) throw authenticationFailed('This access token was revoked; sign in again.')
  const bound = scheme.toLowerCase() === 'dpop'
  if (bound !== (claims.jkt !== undefined)) throw authenticationFailed()
  if (bound) await checkProof(authority, req, token, claims)
  authority.lastSeen.hear([claims.sid], claims.aud)
  return claims
}

async function checkProof(
  authority: Authority,
  req: IncomingMessage,
  token: string,
  claims: AccessTokenClaims,
) {
  const { config, now, store } = authority
  const url = `${config.issuer}${(req.url ?? '/').split('?', 1)[0]}`
  const proof = [req.headers.dpop].flat().join(',')
  const proven = await verifyDpopProof(proof, {
    method: req.method ?? '',
    url,
    accessToken: token,
    now: now(),
  }).catch(() => {
    throw authenticationFailed('The DPoP proof does not fit this request.')
  })
  if (proven.jkt !== claims.jkt) throw authenticationFailed('The DPoP proof is of another key.')
  const id = hashSecret(`${claims.clientId} ${proven.jti}`)
  const record = { op: 'put', model: 'ResourceReplay', id, payload: new Uint8Array(), once: true } as const
  const records = [{ ...record, expiresAt: proven.iat + 300 }]
  const outcome = await store.transact({ kind: 'write', records, audit: [], at: now() })
  if (outcome.kind === 'conflict') throw authenticationFailed('The DPoP proof was used before.')
}
