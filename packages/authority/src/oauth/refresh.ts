import { randomBytes } from 'node:crypto'
import { verifyDpopProof } from '@rescind/guard/dpop'
import type { KoaContextWithOIDC } from 'oidc-provider'
import type { Authority } from '../authority.ts'
import { lifetimesOf } from '../domain/policy.ts'
import { hashSecret, successorToken } from '../domain/secret.ts'
import { type RefreshDecision, type RefreshRequest, type Session, scopeFor } from '../domain/session.ts'
import { addressOf } from '../http/address.ts'
import { readOwnSecret } from '../revoke.ts'
import { StoreUnavailable } from '../store/store.ts'
import { accessTokenClaims, issueAccessToken, issueTime } from './access-token.ts'
import { errors } from './library.ts'
import { ROUTES } from './routes.ts'
import { judgeRefresh } from './suspicious-refresh.ts'
import { currentUnit } from './unit.ts'
import { usedFrom } from './used-from.ts'

type Refusal = Extract<RefreshDecision, { kind: 'refused' }>['why'] | 'reused' | 'suspicious' | 'replayed'

/** Why a refresh was refused, in the words of RFC 6749 §5.2. Tools of ours read the description. */
export const REFUSALS: Record<Refusal, string> = {
  unknown: 'refresh token not found',
  ended: 'refresh token was revoked: its session has ended',
  revoked: 'refresh token was revoked',
  expired: 'refresh token is expired',
  client: 'refresh token was issued to another client',
  dpop: 'refresh token is bound to another DPoP key',
  scope: 'more scope was requested than was granted',
  resource: 'that resource was not granted',
  busy: 'this session holds too many live access tokens; use the ones it has',
  reused: 'refresh token was used before, so its session has ended',
  suspicious: 'this session looked as if somebody else was using it, so it has ended',
  replayed: 'DPoP proof was used before',
}

/**
 * The refresh grant (RFC 6749 §6). Client authentication is the library's; rotation, reuse detection, the
 * repeated answer and the session's state are one transaction of ours.
 */
export function refreshGrant(authority: Authority) {
  return async (ctx: KoaContextWithOIDC): Promise<void> => {
    const { client, params } = ctx.oidc
    if (!client) throw new errors.InvalidClient('client is missing')
    const presented = params?.refresh_token
    if (typeof presented !== 'string' || presented === '') {
      throw new errors.InvalidRequest("missing required parameter(s) 'refresh_token'")
    }
    const parts = readOwnSecret(authority, presented)
    if (parts?.kind !== 'refresh_token') throw refusal('unknown')
    const jkt = await provenKey(authority, ctx)
    if ((await judgeRefresh(authority, ctx.req, parts, client.clientId, jkt)) === 'revoke')
      throw refusal('suspicious')
    const { accessTokenTtl } = lifetimesOf(authority.config.policy, client.clientId)
    const iat = issueTime(authority, client.clientId)
    const token = { jti: randomBytes(16).toString('base64url'), idx: await authority.indexes.next(), exp: 0 }
    token.exp = iat + accessTokenTtl
    const salt = randomBytes(16).toString('base64url')
    const { secrets } = authority.ring()
    const successor = successorToken(presented, parts, salt, secrets)
    const scope = typeof params?.scope === 'string' ? params.scope : undefined
    const resource = typeof params?.resource === 'string' ? params.resource : undefined
    const outcome = await transact(authority, ctx, {
      ...parts,
      ...{ clientId: client.clientId, jkt, scope, resource, token },
      from: usedFrom(authority, ctx.req),
      successor: { hash: hashSecret(successor), salt },
    })
    const { session } = outcome
    const refreshed =
      outcome.kind === 'rotated' ? successor : successorToken(presented, parts, outcome.salt, secrets)
    const facts = { ...token, iat, resource: resource ?? session.resource, requestedScope: scope, jkt }
    const claims = accessTokenClaims(authority.config.issuer, session, facts)
    ctx.body = {
      access_token: issueAccessToken(authority, claims),
      token_type: jkt ? 'DPoP' : 'Bearer',
      expires_in: token.exp - iat,
      refresh_token: refreshed,
      scope: claims.scope,
      ...(await idToken(authority, ctx, session)),
    }
  }
}

async function transact(authority: Authority, ctx: KoaContextWithOIDC, request: RefreshRequest) {
  const unit = currentUnit()
  const address = addressOf(ctx.req, authority.config.trustProxy)
  // What the request wrote so far (its DPoP proof) goes into the same transaction.
  const records = unit.records.splice(0)
  try {
    const outcome = await authority.store.transact({
      kind: 'refresh',
      request,
      records,
      address,
      at: authority.now(),
    })
    if (outcome.kind === 'rotated' || outcome.kind === 'repeated') return outcome
    throw refusal(outcome.kind === 'refused' ? outcome.why : outcome.kind)
  } catch (error) {
    if (error instanceof StoreUnavailable) unit.storeFailed = true
    throw error
  }
}

function refusal(why: Refusal): Error {
  const description = REFUSALS[why]
  if (why === 'scope') return new errors.InvalidScope(description, '')
  if (why === 'resource') return new errors.InvalidTarget(description)
  if (why === 'replayed') return new errors.InvalidDpopProof(description)
  const error = new errors.InvalidGrant(description)
  // The library keeps the description of this error for its own log; our clients are to read it.
  error.error_description = description
  return error
}

/** The thumbprint of the DPoP key that the request proves to hold (RFC 9449 §5); a proof works once. */
async function provenKey(authority: Authority, ctx: KoaContextWithOIDC): Promise<string | undefined> {
  const proof = ctx.get('DPoP')
  const clientId = ctx.oidc.client?.clientId as string
  if (!proof) {
    if (ctx.oidc.client?.dpopBoundAccessTokens) throw refusal('dpop')
    return undefined
  }
  const url = `${authority.config.issuer}${ROUTES.token}`
  const { jkt, jti, iat } = await verifyDpopProof(proof, { method: 'POST', url, now: authority.now() }).catch(
    () => {
      throw new errors.InvalidDpopProof('invalid DPoP key binding')
    },
  )
  const unique = await ctx.oidc.provider.ReplayDetection.unique(clientId, jti, iat + 300)
  if (!unique) throw refusal('replayed')
  return jkt
}

/** A fresh ID token for a session that asked for one at sign-in (OIDC Core §12.2). */
async function idToken(authority: Authority, ctx: KoaContextWithOIDC, session: Session) {
  const scope = scopeFor(session, session.resource)
  if (!scope.split(' ').includes('openid')) return {}
  // The rotation is durable by now: what is missing here must not make it look as if it had failed.
  const account = await authority.store
    .read({ kind: 'account-by-sub', sub: session.sub })
    .catch(() => undefined)
  if (!account) return {}
  const { name, email } = account
  const claims = { sub: session.sub, name, email, auth_time: session.authTime, acr: session.acr }
  const token = new ctx.oidc.provider.IdToken(claims, { ctx })
  // The library shows the claims of this scope only; its types leave the property out.
  Object.assign(token, { scope })
  token.set('sid', session.sid)
  return { id_token: await token.issue({ use: 'idtoken' }) }
}
