import { lifetimesOf, type Policy } from './policy.ts'
import type { Reason } from './reason.ts'
import { sameSecret } from './secret.ts'
import { impossibleReuse, type UsedFrom } from './suspicion.ts'

/** How far a guard's clock may run behind ours, in ms: so long a token may be accepted after it expired. */
export const CLOCK_SKEW = 5_000

/** An access token that the session was given, kept until it has expired. */
export type IssuedToken = {
  jti: string
  /** Its place in the status list. */
  idx: number
  /** When it expires, in seconds. */
  exp: number
  revoked?: true
}

export type RefreshState = {
  /** The generation of the one refresh token that is live. */
  generation: number
  hash: string
  /** The token before it, and the salt that derives the live one from it. */
  previous?: { hash: string; salt: string; at: number }
}

export type Ending = { seq: number; at: number; reason: Reason }

/** One sign-in of one account, in one client, on one device. Ends once, for one reason, for ever. */
export type Session = {
  sid: string
  sub: string
  clientId: string
  /** The browser's own sign-in at the authority that it came from, until that one is renewed. */
  browser?: string
  /** The device that it is on. */
  device?: string
  /** When it was opened, in ms. */
  openedAt: number
  /** When the person last proved who they are, in seconds (OIDC `auth_time`). */
  authTime: number
  acr?: string
  amr?: string[]
  /** All that was granted, space separated (RFC 6749 §3.3). */
  scope: string
  /** The part of it that each resource may see (RFC 8707). */
  resources: Record<string, string>
  /** The resource that a request names by naming none. */
  resource: string
  /** Thumbprint of the DPoP key that the refresh token is bound to (RFC 9449 §5). */
  jkt?: string
  /** Absent once refreshing has been stopped, or where it was never allowed. */
  refresh?: RefreshState
  /** SHA-256 of the logout ticket. */
  ticketHash: string
  tokens: IssuedToken[]
  /** When it was last refreshed, in ms. */
  refreshedAt: number
  /** From where its client opened or last refreshed it. */
  usedFrom?: UsedFrom
  /** When an API last saw it, in ms, as far as guards have said. */
  lastSeen?: number
  ended?: Ending
}

/** The scope that a token for `resource` carries: what was asked for, as far as it was granted. */
export function scopeFor(session: Session, resource: string, requested?: string): string {
  const wanted = requested === undefined ? undefined : new Set(requested.split(' '))
  const own = Object.hasOwn(session.resources, resource) ? session.resources[resource] : ''
  const granted = (own ?? '').split(' ').filter(Boolean)
  return granted.filter((scope) => wanted === undefined || wanted.has(scope)).join(' ')
}

/** The session's access tokens that an API would accept at `now` (ms). */
export function liveTokens(session: Session, now: number): IssuedToken[] {
  if (session.ended) return []
  return session.tokens.filter((token) => !token.revoked && token.exp * 1000 > now)
}

/** Whether the session's refresh token could still be used at `now` (ms). */
export function refreshable(session: Session, policy: Policy, now: number): boolean {
  return session.refresh !== undefined && !session.ended && !outlived(session, policy, now)
}

/** When the session is over by itself, in ms: unused for too long, or simply too old. */
export function outlivesAt(session: Session, policy: Policy): number {
  const { sessionIdle, sessionAbsolute } = lifetimesOf(policy, session.clientId)
  return Math.min(session.refreshedAt + sessionIdle, session.openedAt + sessionAbsolute)
}

export function outlived(session: Session, policy: Policy, now: number): boolean {
  return now >= outlivesAt(session, policy)
}

/** Whether anything of the session could still be used at `now` (ms). */
export function holdsAnything(session: Session, policy: Policy, now: number): boolean {
  return refreshable(session, policy, now) || liveTokens(session, now).length > 0
}

export type RefreshRequest = {
  sid: string
  generation: number
  hash: string
  clientId: string
  /** Thumbprint of the DPoP key that the request proved, if it proved one. */
  jkt?: string
  scope?: string
  resource?: string
  from?: UsedFrom
  /** What becomes the session's state if the token is live. */
  successor: { hash: string; salt: string }
  token: IssuedToken
}

export type RefreshDecision =
  | { kind: 'rotated'; session: Session }
  /** The client lost our answer: the same successor again, derived from this salt. */
  | { kind: 'repeated'; session: Session; salt: string }
  /** A token that was used up came back: its session has to end. */
  | { kind: 'reused'; session: Session }
  /** The answer is asked for again by somebody else: its session has to end. */
  | { kind: 'suspicious'; session: Session }
  | {
      kind: 'refused'
      why: 'unknown' | 'ended' | 'revoked' | 'expired' | 'client' | 'dpop' | 'scope' | 'resource' | 'busy'
    }

/**
 * Decides what a presented refresh token gets (RFC 6749 §6, RFC 9700 §4.14.2). Pure: the store runs it in the
 * transaction that writes the answer, so that of racing requests one rotates and the others see that it did.
 * @param now the time in ms
 */
export function decideRefresh(
  session: Session | undefined,
  request: RefreshRequest,
  policy: Policy,
  now: number,
): RefreshDecision {
  if (!session) return { kind: 'refused', why: 'unknown' }
  if (session.clientId !== request.clientId) return { kind: 'refused', why: 'client' }
  if (session.ended) return { kind: 'refused', why: 'ended' }
  const { refresh } = session
  if (!refresh) return { kind: 'refused', why: 'revoked' }
  if (session.jkt !== undefined && session.jkt !== request.jkt) return { kind: 'refused', why: 'dpop' }

  const known = presentedBefore(refresh, request, policy, now)
  if (known === 'unknown') return { kind: 'refused', why: 'unknown' }
  if (known === 'used') return { kind: 'reused', session }
  if (known === 'repeat' && policy.impossibleReuse && impossibleReuse(session.usedFrom, request.from))
    return { kind: 'suspicious', session }
  if (outlived(session, policy, now)) return { kind: 'refused', why: 'expired' }

  const resource = request.resource ?? session.resource
  if (!Object.hasOwn(session.resources, resource)) return { kind: 'refused', why: 'resource' }
  if (request.scope !== undefined) {
    const granted = new Set(session.scope.split(' '))
    if (!request.scope.split(' ').every((scope) => granted.has(scope))) {
      return { kind: 'refused', why: 'scope' }
    }
  }
  if (liveTokens(session, now).length >= policy.maxLiveAccessTokens) return { kind: 'refused', why: 'busy' }

  const tokens = [...session.tokens.filter((token) => token.exp * 1000 + CLOCK_SKEW > now), request.token]
  if (known === 'repeat' && refresh.previous) {
    return { kind: 'repeated', salt: refresh.previous.salt, session: { ...session, tokens } }
  }
  const rotated: RefreshState = {
    generation: refresh.generation + 1,
    hash: request.successor.hash,
    previous: { hash: refresh.hash, salt: request.successor.salt, at: now },
  }
  const used = request.from ? { usedFrom: request.from } : {}
  return { kind: 'rotated', session: { ...session, tokens, refresh: rotated, refreshedAt: now, ...used } }
}

/** What we know of a refresh token that carries our tag. */
export function presentedBefore(
  refresh: RefreshState,
  presented: { generation: number; hash: string },
  policy: Policy,
  now: number,
): 'live' | 'repeat' | 'used' | 'unknown' {
  if (presented.generation === refresh.generation) {
    return sameSecret(presented.hash, refresh.hash) ? 'live' : 'unknown'
  }
  // Ahead of us: only a store that was set back to an older copy gets here.
  if (presented.generation > refresh.generation) return 'unknown'
  const { previous } = refresh
  if (presented.generation === refresh.generation - 1 && previous) {
    if (!sameSecret(presented.hash, previous.hash)) return 'unknown'
    if (now - previous.at <= policy.refreshGrace) return 'repeat'
  }
  return 'used'
}
