import type { IncomingMessage, ServerResponse } from 'node:http'
import { authenticate, authenticationFailed } from '../authenticate.ts'
import type { Authority } from '../authority.ts'
import { sendJson } from '../http/respond.ts'
import { ROUTES } from './routes.ts'

/**
 * `GET|POST /oauth/userinfo` (OIDC Core §5.3): what the scopes of a live token allow to be known of the account.
 * @throws RescindError AUTHENTICATION_FAILED
 */
export async function userinfoEndpoint(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  const claims = await authenticate(authority, req, `${authority.config.issuer}${ROUTES.userinfo}`)
  if (!claims) throw authenticationFailed()
  const account = await authority.store.read({ kind: 'account-by-sub', sub: claims.sub })
  if (!account) throw authenticationFailed()
  sendJson(res, 200, {
    sub: account.sub,
    ...(claims.scope.includes('profile') ? { name: account.name } : {}),
    ...(claims.scope.includes('email') ? { email: account.email, email_verified: false } : {}),
  })
}
