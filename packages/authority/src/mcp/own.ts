import type { AccessTokenClaims } from '@rescind/guard/claims'
import { authenticationFailed } from '../authenticate.ts'
import type { Authority } from '../authority.ts'
import { endOne, endOthers, listSessions } from '../own-sessions.ts'
import type { Caller } from './caller.ts'

/* The tools of a person who is signed in: what else is signed in, and ending it. */

function signedIn({ claims }: Caller): AccessTokenClaims {
  if (!claims) throw authenticationFailed()
  return claims
}

/**
 * `list_oauth_sessions`: the sessions of the account that the request's bearer token is of.
 * @throws RescindError AUTHENTICATION_FAILED, UNAVAILABLE
 */
export async function listTool(authority: Authority, _input: object, caller: Caller) {
  return listSessions(authority, signedIn(caller))
}

/**
 * `revoke_oauth_session`: ends one of them.
 * @throws RescindError AUTHENTICATION_FAILED, NOT_FOUND, UNAVAILABLE
 */
export async function revokeOneTool(authority: Authority, { sid }: { sid: string }, caller: Caller) {
  const outcome = await endOne(authority, signedIn(caller), sid, caller.address)
  const message =
    outcome.kind === 'already' ? 'That session had ended before; nothing changed.' : 'The session has ended.'
  return { success: true as const, message }
}

/**
 * `revoke_other_oauth_sessions`: ends all but the one that the request's bearer token is of.
 * @throws RescindError AUTHENTICATION_FAILED, UNAVAILABLE
 */
export async function revokeOthersTool(authority: Authority, _input: object, caller: Caller) {
  const { revocations } = await endOthers(authority, signedIn(caller), caller.address)
  const ended = revocations.length
  const message = `${ended} other session${ended === 1 ? ' has' : 's have'} ended; this one lives on.`
  return { success: true as const, ended, message }
}
