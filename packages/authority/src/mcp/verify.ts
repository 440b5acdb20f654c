import { authenticationFailed } from '../authenticate.ts'
import type { Authority } from '../authority.ts'
import { genuineAccessToken } from '../revoke.ts'
import { selfRequest } from '../self.ts'
import type { Caller } from './caller.ts'

/**
 * `verify_oauth_revocation`: presents the token where any live token is answered, and reports what came back.
 * @throws RescindError INVALID_TOKEN
 */
export async function verifyRevocation(authority: Authority, input: { accessToken: string }, caller: Caller) {
  const claims = await genuineAccessToken(authority, input.accessToken)
  const answer = await selfRequest(authority, caller.address, {
    method: 'GET',
    url: '/v1/session',
    headers: { authorization: `${claims.jkt ? 'DPoP' : 'Bearer'} ${input.accessToken}` },
  })
  if (answer.status === 200) return { revoked: false, message: 'The access token still works.' }
  const session = await authority.store.read({ kind: 'session', sid: claims.sid })
  await authority.store.caughtUp()
  const marked = session?.tokens.some((token) => token.jti === claims.jti && token.revoked)
  if (authority.view.dead(claims) || session?.ended || marked) {
    return {
      revoked: true,
      message: `The access token was tried and refused (${answer.status}): it is revoked.`,
    }
  }
  if (claims.exp * 1000 <= authority.now()) {
    return { revoked: false, message: 'The access token has expired: it is refused, but nobody revoked it.' }
  }
  return {
    revoked: false,
    message: 'The access token is not revoked. It is bound to a key, so it was not tried.',
  }
}

/**
 * `whoami`: whose session the request's bearer token is.
 * @throws RescindError AUTHENTICATION_FAILED
 */
export async function whoami(authority: Authority, _input: object, { claims }: Caller) {
  if (!claims) throw authenticationFailed()
  const account = await authority.store.read({ kind: 'account-by-sub', sub: claims.sub })
  if (!account) throw authenticationFailed()
  const { sub, sid, clientId, scope, exp } = claims
  const expiresAt = new Date(exp * 1000).toISOString()
  return { sub, email: account.email, name: account.name, sid, clientId, scope: scope.join(' '), expiresAt }
}
