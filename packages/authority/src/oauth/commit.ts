import type { KoaContextWithOIDC } from 'oidc-provider'
import type { Authority } from '../authority.ts'
import type { Reason } from '../domain/reason.ts'
import { sidTime } from '../domain/secret.ts'
import { addressOf } from '../http/address.ts'
import { StoreUnavailable } from '../store/store.ts'
import { completeExchange } from './exchange.ts'
import type { Unit } from './unit.ts'

/**
 * Commits all that a protocol request wrote, before its answer is sent. An answer that can't be made durable
 * is replaced by one that says so.
 */
export async function commitUnit(authority: Authority, ctx: KoaContextWithOIDC, unit: Unit): Promise<void> {
  if (unit.storeFailed) return answerUnavailable(ctx)
  const address = addressOf(ctx.req, authority.config.trustProxy)
  try {
    await noteLogout(authority, ctx, unit)
    const exchanged = ctx.status === 200 && unit.open !== undefined
    if (exchanged) completeExchange(authority, ctx, unit, address)
    else unit.open = undefined
    auditClients(authority, ctx, unit, address)
    const { records, open, device, audit } = unit
    const end = endingsOf(authority, ctx, unit, address)
    if (records.length === 0 && !open && !end && audit.length === 0) return
    const outcome = await authority.store.transact({
      kind: 'write',
      records,
      open,
      ...(open ? { grantedAt: sidTime(open.sid) } : {}),
      device,
      end,
      audit,
      at: authority.now(),
    })
    if (outcome.kind === 'conflict') await answerConflict(authority, ctx, outcome.model, unit, address)
  } catch (error) {
    if (error instanceof StoreUnavailable) return answerUnavailable(ctx)
    throw error
  }
}

function endingsOf(authority: Authority, ctx: KoaContextWithOIDC, { ends }: Unit, address: string) {
  const removed = removedClient(ctx)
  if (removed)
    return {
      sids: [],
      clientId: removed,
      reason: 'app_uninstall' as const,
      actor: `client:${removed}`,
      address,
    }
  if (ends.size === 0) return undefined
  return { sids: [...ends], reason: reasonFor(ctx, authority), actor: 'rescind', address }
}

/** A client that deletes its registration (RFC 7592 §2.3): all that it holds ends with it. */
function removedClient({ oidc, status }: KoaContextWithOIDC): string | undefined {
  return oidc?.route === 'client_delete' && status === 204 ? oidc.entities.Client?.clientId : undefined
}

/**
 * A logout at the authority ends every session that came from this browser's sign-in; the library knows only the
 * last one of each client. Who chose to stay keeps them all.
 */
async function noteLogout({ store }: Authority, ctx: KoaContextWithOIDC, unit: Unit) {
  // A form that is not this browser's own was refused, and ends nothing.
  if (ctx.oidc?.route !== 'end_session_confirm' || ctx.status >= 400) return
  if (!ctx.oidc.params?.logout) return unit.ends.clear()
  const browser = ctx.oidc.session?.uid
  if (!browser) return
  const sessions = await store.read({ kind: 'browser-sessions', browser, limit: 10_000 })
  for (const { sid, ended } of sessions) if (!ended) unit.ends.add(sid)
}

function reasonFor(ctx: KoaContextWithOIDC, { config }: Authority): Reason {
  if (ctx.oidc.route === 'token') return 'token_reuse'
  // Signing in as somebody else passes through the same end of the browser's session.
  const returnsTo = `${ctx.oidc.session?.state?.postLogoutRedirectUri ?? ''}`
  return returnsTo.startsWith(`${config.issuer}/oauth/authorize`) ? 'account_switch' : 'user_logout'
}

async function endSessions(authority: Authority, sids: Iterable<string>, reason: Reason, address: string) {
  for (const sid of sids) {
    const request = { by: { kind: 'session' as const, sid }, reason, actor: 'rescind' }
    await authority.store.transact({ kind: 'revoke', request, address, at: authority.now() })
  }
}

/** Two requests with one code, or one proof: the second to commit gets nothing. */
async function answerConflict(
  authority: Authority,
  ctx: KoaContextWithOIDC,
  model: string,
  unit: Unit,
  address: string,
) {
  ctx.remove('set-cookie')
  ctx.status = 400
  if (model === 'AuthorizationCode' && unit.open) {
    // RFC 6749 §4.1.2: a code that comes twice takes with it what it was exchanged for.
    await endSessions(authority, [unit.open.sid], 'token_reuse', address)
  }
  ctx.body = CONFLICTS[model] ?? CONFLICTS.AuthorizationCode
}

const CONFLICTS: Record<string, { error: string; error_description: string }> = {
  ReplayDetection: { error: 'invalid_dpop_proof', error_description: 'DPoP proof was used before' },
  AuthorizationCode: { error: 'invalid_grant', error_description: 'authorization code was used before' },
  Account: {
    error: 'invalid_grant',
    error_description: 'the sign-in that the code came from was called off; sign in again',
  },
  Client: { error: 'invalid_client', error_description: 'the client was removed' },
  CutOff: {
    error: 'invalid_grant',
    error_description: 'everything issued before now was called off; sign in again',
  },
  Session: { error: 'invalid_grant', error_description: 'the sign-in that the code came from has ended' },
}

function answerUnavailable(ctx: KoaContextWithOIDC) {
  ctx.remove('set-cookie')
  ctx.remove('location')
  ctx.status = 503
  ctx.set('retry-after', '1')
  ctx.body = {
    error: 'temporarily_unavailable',
    error_description: 'nothing has changed because it could not be made durable; try again',
  }
}

function auditClients(authority: Authority, ctx: KoaContextWithOIDC, unit: Unit, address: string) {
  const { route, entities } = ctx.oidc ?? {}
  const clientId = entities?.Client?.clientId
  if (!clientId) return
  if (route === 'registration' || route === 'client_update') {
    authority.origins.add((ctx.body as { redirect_uris?: string[] }).redirect_uris ?? [])
    authority.notices.expectLogouts((ctx.body as { backchannel_logout_uri?: string }).backchannel_logout_uri)
  }
  const event = { at: authority.now(), actor: `client:${clientId}`, clientId, address }
  if (route === 'registration' && ctx.status === 201)
    unit.audit.push({ event: 'client.registered', ...event })
  if (removedClient(ctx)) unit.audit.push({ event: 'client.removed', ...event })
}
