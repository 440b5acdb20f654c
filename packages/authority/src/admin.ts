import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { SignJWT } from 'jose'
import { authenticate, authenticationFailed } from './authenticate.ts'
import type { Authority } from './authority.ts'
import { RescindError } from './errors.ts'
import { sendJson } from './http/respond.ts'
import type { KeyRing } from './keys/ring.ts'

/** What administrators may do; no client can be granted it. */
const ADMIN_SCOPE = 'rescind:admin'
const TOKEN_LIFE = 60

/**
 * A token for the command line on the server: whoever can open the keys can speak for the authority.
 * @param actor who acts, for the audit log
 * @param now the time in ms
 */
export function signAdminToken(ring: KeyRing, issuer: string, actor: string, now: number): Promise<string> {
  const iat = Math.floor(now / 1000)
  const whose = { iss: issuer, sub: actor, aud: `${issuer}/v1/admin`, client_id: 'rescind-cli', sid: actor }
  const times = { iat, exp: iat + TOKEN_LIFE, jti: randomBytes(16).toString('base64url') }
  return new SignJWT({ ...whose, ...times, scope: ADMIN_SCOPE })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: ring.signing.kid })
    .sign(ring.signing.key)
}

/**
 * The administrator that a request comes from.
 * @throws RescindError AUTHENTICATION_FAILED, ACCESS_DENIED
 */
export async function administrator(authority: Authority, req: IncomingMessage): Promise<string> {
  const claims = await authenticate(authority, req, `${authority.config.issuer}/v1/admin`)
  if (!claims) throw authenticationFailed()
  if (!claims.scope.includes(ADMIN_SCOPE))
    throw new RescindError('ACCESS_DENIED', 'This is for administrators.')
  return claims.sub
}

/** `GET /v1/admin/guards`: the guards that are connected, and how far behind they are. */
export async function adminGuards(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  await administrator(authority, req)
  sendJson(res, 200, { seq: authority.feed.head.seq, guards: authority.feed.guards() })
}
