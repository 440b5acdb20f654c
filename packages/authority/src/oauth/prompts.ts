import { randomBytes } from 'node:crypto'
import type { KoaContextWithOIDC } from 'oidc-provider'
import { administers, adminResource } from '../administrators.ts'
import type { Authority } from '../authority.ts'
import type { Session } from '../domain/session.ts'
import { PASSWORD_ACR } from './acr.ts'
import { noteBrowser } from './device.ts'
import { newGrant } from './grant.ts'
import { errors, interactionPolicy } from './library.ts'
import { readInUnit } from './unit.ts'

/**
 * The grant of this very interaction: each sign-in is a session of its own, so no earlier one counts. A client of
 * the deployment's own is granted what it asks for, unless the person has to sign in first.
 */
export async function loadGrant(authority: Authority, ctx: KoaContextWithOIDC, firstParty: Set<string>) {
  const grant = await grantOf(authority, ctx, firstParty)
  // This is the request of a browser; the one that exchanges the code is the app's.
  if (grant) noteBrowser(authority, ctx.req, grant.jti)
  return grant
}

async function grantOf(authority: Authority, ctx: KoaContextWithOIDC, firstParty: Set<string>) {
  const { client, provider, session, result } = ctx.oidc
  const made = result?.consent?.grantId
  // A page that was open while the person logged out elsewhere in this browser: they sign in first.
  if (!result?.login && (await endedHere(authority, ctx))) return undefined
  if (made) return provider.Grant.find(made)
  if (!client || !session?.accountId || !firstParty.has(client.clientId)) return undefined
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
  addStepUp(authority, prompts)
  addAdministrators(authority, prompts)
  prompts.get('login')?.checks.add(
    new Check(
      'session_ended',
      'a session of this browser has ended, sign in again',
      'login_required',
      async (ctx) => {
        const { session, result } = ctx.oidc
        if (!session?.accountId) return Check.NO_NEED_TO_PROMPT
        if (!(await endedHere(authority, ctx))) return Check.NO_NEED_TO_PROMPT
        if (!result?.login) return Check.REQUEST_PROMPT
        // They just did: from here on it is another sign-in of this browser, to which nothing that ended belongs.
        session.uid = randomBytes(16).toString('base64url')
        return Check.NO_NEED_TO_PROMPT
      },
    ),
  )
  return prompts
}

type Prompts = ReturnType<typeof interactionPolicy.base>

/**
 * What an API's challenge makes a client ask for (RFC 9470 §4): a sign-in that is recent by our clock, and not by the
 * library's, or one of a kind. Nobody walks through on an old sign-in of the browser.
 */
function addStepUp({ now }: Authority, prompts: Prompts) {
  const { Check } = interactionPolicy
  const ask = (name: string, needed: (ctx: KoaContextWithOIDC) => boolean) =>
    prompts.get('login')?.checks.add(
      new Check(name, 'a fresh sign-in is asked for', 'login_required', (ctx) => {
        const { session, result } = ctx.oidc
        return session?.accountId && !result?.login && needed(ctx)
          ? Check.REQUEST_PROMPT
          : Check.NO_NEED_TO_PROMPT
      }),
    )
  ask('max_age_passed', ({ oidc: { params, session } }) => {
    const maxAge = params?.max_age
    return maxAge !== undefined && now() / 1000 - (session?.loginTs ?? 0) > Number(maxAge)
  })
  ask('acr_values', ({ oidc: { params } }) => params?.acr_values !== undefined)
  prompts.get('login')?.checks.add(
    new Check('acr_unknown', 'none of the requested acr_values can be met', ({ oidc: { params } }) => {
      const asked = params?.acr_values
      if (typeof asked === 'string' && !asked.split(' ').includes(PASSWORD_ACR))
        throw new errors.UnmetAuthenticationRequirements('none of the requested acr_values can be met')
      return Check.NO_NEED_TO_PROMPT
    }),
  )
}

/** Who is not an administrator gets no token for what is theirs. It is looked at once it is known who signs in. */
function addAdministrators({ config, store }: Authority, prompts: Prompts) {
  const { Check } = interactionPolicy
  const resource = adminResource(config.issuer)
  prompts.get('consent')?.checks.add(
    new Check('not_administrator', 'the account is no administrator', 'access_denied', async ({ oidc }) => {
      if (![oidc.params?.resource].flat().includes(resource)) return Check.NO_NEED_TO_PROMPT
      const sub = oidc.session?.accountId ?? ''
      if (administers(config, await readInUnit(store, { kind: 'account-by-sub', sub })))
        return Check.NO_NEED_TO_PROMPT
      throw new errors.AccessDenied('this account does not administer the authority')
    }),
  )
}

/** So many of a browser's sessions are looked at, the newest first. */
const LOOK_BACK = 200

/** Whether a session that came from this browser's sign-in has ended, or that sign-in itself was called off. */
export async function endedHere(
  { store }: Authority,
  { oidc }: { oidc: { session?: { uid: string; accountId?: string; loginTs?: number } | undefined } },
): Promise<boolean> {
  const { uid: browser, accountId, loginTs = 0 } = oidc.session ?? {}
  if (!browser) return false
  const account = accountId && (await readInUnit(store, { kind: 'account-by-sub', sub: accountId }))
  const { validAfter = 0, validBrowser } = account || {}
  if (loginTs * 1000 < validAfter && browser !== validBrowser) return true
  const sessions = await readInUnit(store, { kind: 'browser-sessions', browser, limit: LOOK_BACK })
  // The browser that a password was changed in stays signed in, whatever else ended there with it.
  const stays = ({ ended }: Session) => ended?.reason === 'password_change' && browser === validBrowser
  return sessions.some((session) => session.ended !== undefined && !stays(session))
}
