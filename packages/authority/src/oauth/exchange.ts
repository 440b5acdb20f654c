import { randomBytes } from 'node:crypto'
import type { KoaContextWithOIDC } from 'oidc-provider'
import type { Authority } from '../authority.ts'
import { lifetimesOf } from '../domain/policy.ts'
import { hashSecret, logoutTicket, refreshToken } from '../domain/secret.ts'
import type { Session } from '../domain/session.ts'
import { accessTokenClaims, issueTime } from './access-token.ts'
import { deviceOf } from './device.ts'
import { currentUnit, type Unit } from './unit.ts'
import { usedFrom } from './used-from.ts'

type JwtParts = { payload: Record<string, unknown> }
type IssuedAccessToken = {
  jti: string
  jkt?: string
  resourceServer?: { identifier(): string }
  aud?: unknown
}

/**
 * Runs when the library makes the access token of a code exchange: opens the session in the request's unit and
 * gives the token its claims. The library signs it.
 */
export function openFromCode(authority: Authority) {
  return async (ctx: KoaContextWithOIDC, token: unknown, jwt: JwtParts): Promise<void> => {
    const { AuthorizationCode: code, Grant: grant, Client: client } = ctx.oidc.entities
    if (!code?.grantId || !grant?.jti || !client) throw new Error('an access token outside a code exchange')
    const { jti, jkt, resourceServer } = token as IssuedAccessToken
    const openedAt = authority.now()
    const iat = issueTime(authority, client.clientId)
    const exp = iat + lifetimesOf(authority.config.policy, client.clientId).accessTokenTtl
    const resource = resourceServer?.identifier() as string
    const idx = await authority.indexes.next()
    const granted = new Set((code.scope ?? '').split(' '))
    const oidc = grant.getOIDCScopeFiltered(granted).split(' ')
    const scopesOf = (one: string) =>
      [...new Set([...oidc, ...grant.getResourceScopeFiltered(one, granted).split(' ')])]
        .filter(Boolean)
        .join(' ')
    const resources = [code.resource ?? resource].flat() as string[]
    const session: Session = {
      sid: code.grantId,
      sub: code.accountId as string,
      clientId: client.clientId,
      ...(code.sessionUid ? { browser: code.sessionUid } : {}),
      openedAt,
      authTime: code.authTime ?? iat,
      ...(code.acr ? { acr: code.acr } : {}),
      ...(code.amr ? { amr: code.amr } : {}),
      scope: [...granted].join(' '),
      resources: Object.fromEntries(resources.map((one) => [one, scopesOf(one)])),
      resource,
      // A public client proves nothing when it refreshes, so its refresh token is bound to its key (RFC 9449 §5).
      ...(jkt && client.clientAuthMethod === 'none' ? { jkt } : {}),
      ticketHash: '',
      tokens: [{ jti, idx, exp }],
      refreshedAt: openedAt,
      usedFrom: usedFrom(authority, ctx.req),
    }
    const unit = currentUnit()
    unit.open = session
    unit.device = await deviceOf(authority, ctx, session)
    session.device = unit.device.id
    // What the ID token will say: our session, not the library's.
    code.sid = session.sid
    const facts = { jti, idx, iat, exp, resource, jkt }
    jwt.payload = accessTokenClaims(authority.config.issuer, session, facts)
  }
}

/** Adds our own secrets to the answer of a code exchange; only their hashes go into the unit. */
export function completeExchange(
  authority: Authority,
  ctx: KoaContextWithOIDC,
  unit: Unit,
  address: string,
): void {
  const session = unit.open
  if (!session) return
  // Whoever logged out at the authority meanwhile must not be left with a session that opens afterwards.
  if (session.browser) unit.records.push({ op: 'need', model: 'Session', id: '', uid: session.browser })
  // Nor with one of a client that has removed itself.
  if (unit.client) unit.records.push({ op: 'need', model: 'Client', id: unit.client })
  const { secrets } = authority.ring()
  const ticket = logoutTicket(session.sid, randomBytes(32), secrets)
  session.ticketHash = hashSecret(ticket)
  const body = ctx.body as Record<string, unknown>
  body.scope = session.resources[session.resource]
  body.logout_ticket = ticket
  if (ctx.oidc.client?.grantTypeAllowed('refresh_token')) {
    const token = refreshToken(session.sid, 1, randomBytes(32), secrets)
    session.refresh = { generation: 1, hash: hashSecret(token) }
    body.refresh_token = token
  }
  const { sid, sub, clientId, openedAt } = session
  unit.audit.push({
    event: 'session.opened',
    at: openedAt,
    actor: `client:${clientId}`,
    sub,
    sid,
    clientId,
    address,
  })
}
