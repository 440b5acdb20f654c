import type { AccessTokenClaims } from '@rescind/guard/claims'
import { RescindError } from './errors.ts'
import { PASSWORD_ACR } from './oauth/acr.ts'

/** How long ago the person may have signed in for what can't be undone, in seconds (RFC 9470 §3). */
export const RECENT = 300

/**
 * Whether the person behind a token signed in a short while ago, and beyond doubt: one that is doubted may have to be given
 * a recent time, if everything before that time was called off.
 * @param now the time in ms
 * @throws RescindError INSUFFICIENT_USER_AUTHENTICATION
 */
export function requireRecentSignIn(claims: AccessTokenClaims, now: number): void {
  if (claims.acr === PASSWORD_ACR && (claims.authTime ?? 0) + RECENT >= now / 1000) return
  throw new RescindError(
    'INSUFFICIENT_USER_AUTHENTICATION',
    'This needs a sign-in of the last five minutes. Sign in again and repeat it.',
  )
}
