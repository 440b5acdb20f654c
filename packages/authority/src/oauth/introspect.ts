import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority } from '../authority.ts'
import { outlivesAt, presentedBefore } from '../domain/session.ts'
import { readForm } from '../http/body.ts'
import { sendJson } from '../http/respond.ts'
import { claimsOf } from '../keys/verifier.ts'
import { readOwnSecret } from '../revoke.ts'
import { type AuthenticatedClient, authenticateClient, OAuthError } from './client-auth.ts'

const INACTIVE = { active: false }

/**
 * `POST /oauth/introspect` (RFC 7662), for clients that authenticate: a resource server asks about the tokens
 * for its resource, a client about its own. Anything dead, and anybody else's token, is `{"active":false}`.
 * @throws OAuthError invalid_client, invalid_request; RescindError
 */
export async function introspectionEndpoint(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  const form = await readForm(req)
  const client = await authenticateClient(authority, req, form)
  if (!client.confidential)
    throw new OAuthError(401, 'invalid_client', 'introspection takes a client with a secret')
  const token = form.get('token')
  if (!token) throw new OAuthError(400, 'invalid_request', 'the parameter `token` is missing')
  const answer =
    (await accessToken(authority, token, client)) ?? (await refreshToken(authority, token, client))
  sendJson(res, 200, answer ?? INACTIVE)
}

async function accessToken(authority: Authority, token: string, client: AuthenticatedClient) {
  await authority.caughtUp()
  const claims = await claimsOf(authority.verifier, token)
  if (!claims || claims.exp * 1000 <= authority.now()) return undefined
  if (authority.view.dead(claims)) return undefined
  const resources = authority.config.resources.filter((one) => one.client_id === client.clientId)
  const itsOwn = claims.clientId === client.clientId
  if (!itsOwn && !resources.some((one) => claims.aud.includes(one.resource))) return undefined
  const { iss, sub, aud, exp, iat, jti, sid, clientId, scope, authTime, acr, jkt } = claims
  return {
    active: true,
    ...{ iss, sub, aud, exp, iat, jti, sid, client_id: clientId, scope: scope.join(' ') },
    token_type: jkt ? 'DPoP' : 'Bearer',
    ...(authTime === undefined ? {} : { auth_time: authTime }),
    ...(acr === undefined ? {} : { acr }),
    ...(jkt === undefined ? {} : { cnf: { jkt } }),
  }
}

async function refreshToken(authority: Authority, token: string, client: AuthenticatedClient) {
  const parts = readOwnSecret(authority, token)
  if (parts?.kind !== 'refresh_token') return undefined
  const session = await authority.store.read({ kind: 'session', sid: parts.sid })
  if (!session?.refresh || session.ended || session.clientId !== client.clientId) return undefined
  const { policy, issuer } = authority.config
  const now = authority.now()
  if (presentedBefore(session.refresh, parts, policy, now) !== 'live') return undefined
  const exp = outlivesAt(session, policy)
  if (exp <= now) return undefined
  const { sub, sid, clientId, scope } = session
  return { active: true, iss: issuer, sub, sid, client_id: clientId, scope, exp: Math.floor(exp / 1000) }
}
