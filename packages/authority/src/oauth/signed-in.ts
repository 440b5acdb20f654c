import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority } from '../authority.ts'
import type { Account } from '../store/store.ts'
import { PASSWORD_ACR } from './acr.ts'
import { deviceShown } from './device.ts'
import { endedHere } from './prompts.ts'
import { ROUTES } from './routes.ts'
import { inUnit } from './unit.ts'

/* Who is signed in in a browser, for pages of our own. They open no session: what they show is the browser's. */

/** The client that people sign in to for our own pages: it gets no token and no code. */
export const PAGES_CLIENT = 'rescind-pages'
/** Where such a sign-in may lead to. */
export const OWN_PAGES = ['/devices', '/devices/others', '/signed-out', '/admin'] as const

export type SignedIn = {
  account: Account
  /** The sign-in of the browser. */
  browser: string
  /** The device that the browser is, if it says so. */
  device?: string
  /** When the person signed in beyond doubt, in s; 0: it may be somebody else. */
  authTime: number
}

/** Who is signed in in the browser that a request comes from; nobody, where that sign-in was called off. */
export function signedInHere(
  authority: Authority,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<SignedIn | undefined> {
  const { provider } = authority.provider()
  return inUnit(async () => {
    const session = await provider.Session.get(provider.createContext(req, res) as never)
    const { uid: browser, accountId, acr, loginTs = 0 } = session
    if (!accountId || (await endedHere(authority, { oidc: { session } }))) return undefined
    const account = await authority.store.read({ kind: 'account-by-sub', sub: accountId })
    if (!account || account.deactivatedAt !== undefined || account.resetRequired) return undefined
    const device = deviceShown(authority, req, accountId)
    return {
      account,
      browser,
      ...(device === undefined ? {} : { device }),
      authTime: acr === PASSWORD_ACR ? loginTs : 0,
    }
  })
}

/**
 * Sends a browser to the sign-in page, from where it comes back.
 * @param options.maxAge how old the sign-in may be, in s (OpenID Connect Core §3.1.2.1)
 * @param options.state comes back with the browser
 * @param options.asOther whether it has to be another account than the one that is signed in
 */
export function signInFirst(
  { config }: Authority,
  res: ServerResponse,
  path: (typeof OWN_PAGES)[number],
  { maxAge, state, asOther }: { maxAge?: number; state?: string; asOther?: boolean } = {},
): void {
  const query = new URLSearchParams({
    ...{ client_id: PAGES_CLIENT, response_type: 'none', scope: 'openid' },
    redirect_uri: `${config.issuer}${path}`,
    ...(maxAge === undefined ? {} : { max_age: `${maxAge}` }),
    ...(state === undefined ? {} : { state }),
    ...(asOther ? { prompt: 'login' } : {}),
  })
  const location = `${ROUTES.authorization}?${query}`
  res.writeHead(303, { location, 'content-length': 0, 'cache-control': 'no-store' }).end()
}
