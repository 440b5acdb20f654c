import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { SignJWT } from 'jose'
import { ADMIN_SCOPE, administers, adminResource } from './administrators.ts'
import { authenticate, authenticationFailed } from './authenticate.ts'
import type { Authority } from './authority.ts'
import { RescindError } from './errors.ts'
import type { KeyRing } from './keys/ring.ts'
import { requireRecentSignIn } from './step-up.ts'

/** The command line; no other client can have its id. */
export const COMMAND_LINE = 'rescind-cli'
const TOKEN_LIFE = 60

/**
 * A token for the command line on the server: whoever can open the keys can speak for the authority.
 * @param actor who acts, for the audit log
 * @param now the time in ms
 */
export function signAdminToken(ring: KeyRing, issuer: string, actor: string, now: number): Promise<string> {
  const iat = Math.floor(now / 1000)
  const whose = { iss: issuer, sub: actor, aud: adminResource(issuer), client_id: COMMAND_LINE, sid: actor }
  const times = { iat, auth_time: iat, exp: iat + TOKEN_LIFE, jti: randomBytes(16).toString('base64url') }
  return new SignJWT({ ...whose, ...times, scope: ADMIN_SCOPE })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: ring.signing.kid })
    .sign(ring.signing.key)
}

/**
 * The administrator that a request comes from. A person has to be one still, whatever the token says, and for anything
 * but reading has to have signed in a short while ago.
 * @returns who that is, for the audit log
 * @throws RescindError AUTHENTICATION_FAILED, ACCESS_DENIED, INSUFFICIENT_USER_AUTHENTICATION
 */
export async function administrator(authority: Authority, req: IncomingMessage): Promise<string> {
  const { config, store, now } = authority
  const claims = await authenticate(authority, req, adminResource(config.issuer))
  if (!claims) throw authenticationFailed()
  const { sub, scope, clientId } = claims
  const person = clientId !== COMMAND_LINE
  const allowed = !person || administers(config, await store.read({ kind: 'account-by-sub', sub }))
  if (!allowed || !scope.includes(ADMIN_SCOPE))
    throw new RescindError('ACCESS_DENIED', 'This is for administrators.')
  // The command line's token is a minute old at most.
  if (person && req.method !== 'GET' && req.method !== 'HEAD') requireRecentSignIn(claims, now())
  return person ? `account:${sub}` : sub
}
