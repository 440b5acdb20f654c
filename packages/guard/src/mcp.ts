import type { ServerResponse } from 'node:http'
import { GuardError } from './errors.ts'
import type { Guard } from './guard.ts'
import type { GuardSession } from './judge.ts'

/** What the MCP SDKs, 1 and 2, call `AuthInfo`. */
export type McpAuthInfo = {
  token: string
  clientId: string
  scopes: string[]
  expiresAt: number
  resource?: URL
  extra: { session: GuardSession }
}

/**
 * The `verifier` that `requireBearerAuth` of the MCP SDK takes, 1.x (`server/auth/middleware/bearerAuth.js`) and 2.x.
 * @param options.invalidToken makes the error that your SDK answers with 401 and its `WWW-Authenticate`:
 * `(message) => new InvalidTokenError(message)` in 1.x, `new OAuthError(OAuthErrorCode.InvalidToken, message)` in 2.x
 * @returns an `OAuthTokenVerifier`. It throws `invalidToken` for a token that is dead or not ours, and the GuardError
 * UNAVAILABLE, which the SDK answers with 500, when that can't be told: no reason to sign in again.
 */
export function mcpTokenVerifier(guard: Guard, options: { invalidToken: (message: string) => Error }) {
  return {
    async verifyAccessToken(token: string): Promise<McpAuthInfo> {
      const session = await guard.check(token).catch((error: unknown) => {
        const dead = error instanceof GuardError && error.code === 'AUTHENTICATION_FAILED'
        throw dead ? options.invalidToken(error.message) : error
      })
      const { clientId, scope, exp, aud } = session
      // The authority names the API first (RFC 8707).
      const resource = aud[0] !== undefined && URL.canParse(aud[0]) ? new URL(aud[0]) : undefined
      return { token, clientId, scopes: [...scope], expiresAt: exp, resource, extra: { session } }
    },
  }
}

/**
 * The session behind the SDK's `req.auth` or, in a tool, `ctx.http?.authInfo` (2.x) or `extra.authInfo` (1.x).
 * @throws GuardError AUTHENTICATION_FAILED when no guard's verifier has seen the request
 */
export function sessionOf(authInfo: { extra?: Record<string, unknown> } | undefined): GuardSession {
  const session = authInfo?.extra?.session
  if (session === undefined)
    throw new GuardError('AUTHENTICATION_FAILED', 'This request needs an access token.')
  return session as GuardSession
}

/**
 * Cuts a response off when its session ends: an event stream, `subscriptions/listen`, a tool call that still runs. The
 * server sees what it sees when a client hangs up, and the client's next request gets 401.
 */
export function endWithSession(guard: Guard, session: GuardSession, res: ServerResponse): void {
  // Not ended: who writes to it afterwards would then throw.
  const takeOff = guard.connections.add(session, () => res.destroy())
  if (res.destroyed) takeOff()
  else res.once('close', takeOff)
}
