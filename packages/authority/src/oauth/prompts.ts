import type { KoaContextWithOIDC } from 'oidc-provider'
import type { Authority } from '../authority.ts'
import { newGrant } from './grant.ts'
import { interactionPolicy } from './library.ts'
import { readInUnit } from './unit.ts'

/**
 * The grant of this very interaction: each sign-in is a session of its own, so no earlier one counts. A client of
 * the deployment's own is granted what it asks for, unless the person has to sign in first.
 */
export async function loadGrant(authority: Authority, ctx: KoaContextWithOIDC, firstParty: Set<string>) {
  const { client, provider, session, result } = ctx.oidc
  const made = result?.consent?.grantId
  if (made) return provider.Grant.find(made)
  if (!client || !session?.accountId || !firstParty.has(client.clientId)) return undefined
  // The library is about to note the new grant in place of the last one, which has to be looked at before.
  if (!result?.login && (await endedHere(authority, ctx)).length > 0) return undefined
  return newGrant(authority, provider, {
    accountId: session.accountId,
    clientId: client.clientId,
    oidcScopes: [...ctx.oidc.requestParamOIDCScopes],
    resourceScopes: Object.fromEntries(
      Object.entries(ctx.oidc.resourceServers ?? {}).map(([resource, server]) => [
        resource,
        [...ctx.oidc.requestParamScopes].filter((scope) => server.scopes.has(scope)),
      ]),
    ),
  })
}

/**
 * The library's questions, and one of ours: whoever logged out of an app in this browser is asked to sign in
 * again. Otherwise the next person at the keyboard would walk straight back in.
 */
export function promptPolicy(authority: Authority) {
  const { base, Check } = interactionPolicy
  const prompts = base()
  prompts.get('login')?.checks.add(
    new Check(
      'session_ended',
      'a session of this browser has ended, sign in again',
      'login_required',
      async (ctx) => {
        const { session, result } = ctx.oidc
        if (!session?.accountId) return Check.NO_NEED_TO_PROMPT
        const ended = await endedHere(authority, ctx)
        if (!result?.login) return ended.length > 0 ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT
        for (const clientId of ended) delete session.authorizations?.[clientId]
        return Check.NO_NEED_TO_PROMPT
      },
    ),
  )
  return prompts
}

/** The clients whose last session in this browser has ended. */
async function endedHere({ store }: Authority, { oidc }: KoaContextWithOIDC): Promise<string[]> {
  const ended: string[] = []
  for (const [clientId, { grantId }] of Object.entries(oidc.session?.authorizations ?? {})) {
    const known = grantId ? await readInUnit(store, { kind: 'session', sid: grantId }) : undefined
    if (known?.ended) ended.push(clientId)
  }
  return ended
}
