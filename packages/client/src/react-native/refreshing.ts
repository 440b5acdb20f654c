import { RescindClientError } from '../errors.ts'
import type { Platform } from '../platform.ts'
import type { Auth, Granted } from './platform.ts'

/** A native library can’t be stopped; what it may bring yet is waited for this long, in ms. */
const LATE = 60_000

/** Who asks again while a refresh is under way, or has just failed to come in time, gets what that one brings. */
export function createRefreshing(auth: Auth): Platform['refresh'] {
  let underWay: { refreshToken: string; since: number; granted: Promise<Granted> } | undefined
  return async (tokens) => {
    const { refreshToken } = tokens
    if (!refreshToken) throw new RescindClientError('REFUSED', 'This session has no refresh token.')
    if (underWay?.refreshToken !== refreshToken || Math.abs(Date.now() - underWay.since) > LATE) {
      const asked = { refreshToken, since: Date.now(), granted: auth.refresh(refreshToken) }
      const over = () => {
        if (underWay === asked) underWay = undefined
      }
      asked.granted.catch(over)
      underWay = asked
    }
    const { accessToken, expiresAt, refreshToken: next = refreshToken } = await underWay.granted
    // An answer without a token is none of the authority.
    if (!accessToken) throw new Error('The answer has no access token.')
    return { ...tokens, accessToken, expiresAt, refreshToken: next }
  }
}
