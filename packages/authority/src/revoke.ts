import type { AccessTokenClaims } from '@rescind/guard/claims'
import type { Authority } from './authority.ts'
import type { PresentedAccess, PresentedRefresh, RevocationRequest } from './domain/revocation.ts'
import { type RefreshTokenParts, readSecret, type TicketParts } from './domain/secret.ts'
import { RescindError } from './errors.ts'
import { claimsOf } from './keys/verifier.ts'
import type { RevokeOutcome, Transaction } from './store/store.ts'

export const LOGGED_OUT = 'OAuth tokens revoked successfully. You have been logged out.'
export const STILL_SIGNED_IN =
  'Access token revoked successfully. The session is still signed in: its refresh token can get a new access ' +
  'token. Send the refresh token too to log out.'

/** Longer than any token of ours: what is longer is not looked at. */
export const MAX_TOKEN = 8192

export type RevokedTokens = { success: true; message: string }
export type Revoked = Extract<RevokeOutcome, { kind: 'revoked' }>

/**
 * `revoke_oauth_tokens`: kills an access token and, with its refresh token, the session. Durable when it
 * resolves. Holding the tokens is the proof; there is no other authentication.
 * @param address where the request comes from, for the audit record
 * @throws RescindError INVALID_TOKEN (nothing was revoked), TOKEN_REVOKED, RATE_LIMITED, UNAVAILABLE
 */
export async function revokeTokens(
  authority: Authority,
  tokens: { accessToken: string; refreshToken?: string },
  address: string,
): Promise<RevokedTokens> {
  return told(await revokePair(authority, tokens, address))
}

/** What the contract says of a revocation. */
export function told({ signedOut }: Revoked): RevokedTokens {
  return { success: true, message: signedOut ? LOGGED_OUT : STILL_SIGNED_IN }
}

/** `revokeTokens`, for those who want to know what ended. */
export async function revokePair(
  authority: Authority,
  tokens: { accessToken: string; refreshToken?: string },
  address: string,
): Promise<Revoked> {
  const { limits } = authority
  try {
    const access = presentedAccess(authority, await genuineAccessToken(authority, tokens.accessToken))
    const refresh =
      tokens.refreshToken === undefined ? undefined : presentedRefresh(authority, tokens.refreshToken)
    const outcome = await revoke(
      authority,
      { kind: 'pair', access, refresh },
      `account:${access.sub}`,
      address,
    )
    if (outcome.kind === 'already') throw new RescindError('TOKEN_REVOKED', 'Token has already been revoked')
    if (outcome.kind !== 'revoked') throw new RescindError('INVALID_TOKEN', 'Invalid refresh token')
    return outcome
  } catch (error) {
    if (error instanceof RescindError && error.code === 'INVALID_TOKEN') limits.badRevocation.spend(address)
    throw error
  }
}

/** What goes with a revocation: why, and what commits with it or not at all. */
export type RevokeOptions = Partial<Pick<RevocationRequest, 'reason' | 'words'>> &
  Partial<Pick<Extract<Transaction, { kind: 'revoke' }>, 'account' | 'records' | 'audit'>>

/** Hands a revocation to the store, which decides and commits it. Every edge that ends something calls this. */
export function revoke(
  { store, now }: Pick<Authority, 'store' | 'now'>,
  by: RevocationRequest['by'],
  actor: string,
  address: string | undefined,
  { reason = 'user_logout', words, ...rest }: RevokeOptions = {},
): Promise<RevokeOutcome> {
  const request = { by, reason, actor, ...(words === undefined ? {} : { words }) }
  return store.transact({ kind: 'revoke', request, address, at: now(), ...rest })
}

/**
 * The claims of an access token that we issued, live, dead or expired.
 * @throws RescindError INVALID_TOKEN
 */
export async function genuineAccessToken(authority: Authority, token: string): Promise<AccessTokenClaims> {
  const claims = await claimsOf(authority.lateVerifier, token, { anyTime: true })
  if (!claims) throw new RescindError('INVALID_TOKEN', 'Invalid access token')
  return claims
}

/** What the domain needs to know of a genuine access token. */
export function presentedAccess({ view }: Authority, claims: AccessTokenClaims): PresentedAccess {
  const { sid, jti, exp, sub, clientId, status } = claims
  return { sid, jti, exp, sub, clientId, idx: view.bits.indexOf(status) ?? -1 }
}

function presentedRefresh(authority: Authority, token: string): PresentedRefresh {
  const parts = readOwnSecret(authority, token)
  if (parts?.kind !== 'refresh_token') throw new RescindError('INVALID_TOKEN', 'Invalid refresh token')
  return parts
}

/** Reads a refresh token or a logout ticket of ours; `undefined` for anything else. */
export function readOwnSecret(
  authority: Authority,
  token: string,
): RefreshTokenParts | TicketParts | undefined {
  return token.length > MAX_TOKEN ? undefined : readSecret(token, authority.ring().secrets)
}
