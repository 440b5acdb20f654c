import type { KoaContextWithOIDC } from 'oidc-provider'
import type { Authority } from '../authority.ts'
import { PAGE_HEADERS } from '../http/respond.ts'
import { switchPage } from '../pages/switch.ts'

/**
 * Whoever signs in where another account is signed in passes through that one's sign-out. The library sends them on with a
 * script of its own; here they are asked, on a page of ours.
 */
export async function askBeforeSwitch({ config }: Authority, ctx: KoaContextWithOIDC): Promise<void> {
  if (ctx.oidc?.route !== 'resume' || typeof ctx.body !== 'string') return
  const xsrf = ctx.oidc.session?.state?.secret
  const action = ctx.oidc.urlFor('end_session_confirm')
  if (typeof xsrf !== 'string' || !ctx.body.includes(`action="${action}"`)) return
  ctx.set(PAGE_HEADERS)
  ctx.type = 'html'
  ctx.body = await switchPage({ issuerName: config.name, action: new URL(action).pathname, xsrf })
}
