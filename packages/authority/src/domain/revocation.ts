import type { Policy } from './policy.ts'
import type { Reason } from './reason.ts'
import { sameHash } from './secret.ts'
import {
  CLOCK_SKEW,
  type IssuedToken,
  liveTokens,
  presentedBefore,
  refreshable,
  type Session,
} from './session.ts'

/** Who asked: a holder of the credential, a client, an administrator, or a rule of ours. */
export type Actor = string

/** What a revocation changes, before the log has given it a `seq`. */
export type Revocation = {
  what: 'session' | 'access_token' | 'refresh_token'
  at: number
  sid: string
  sub: string
  clientId: string
  /** The access token, where only that one died. */
  jti?: string
  reason: Reason
  actor: Actor
  /** The access tokens that die with it. */
  tokens: IssuedToken[]
  /** The resources whose APIs have to hear of it; absent: all of them. */
  audiences?: string[]
}

/** A revocation in the log: durable, ordered, never changed. */
export type LoggedRevocation = Revocation & { seq: number }

/** What a genuine access token says of itself; `exp` in seconds. */
export type PresentedAccess = {
  sid: string
  jti: string
  exp: number
  sub: string
  clientId: string
  idx: number
}
export type PresentedRefresh = { sid: string; generation: number; hash: string }

export type RevocationRequest = {
  /** How it was asked: the contract's pair, one token (RFC 7009), a logout ticket, or a session by its id. */
  by:
    | { kind: 'pair'; access: PresentedAccess; refresh?: PresentedRefresh }
    | { kind: 'refresh'; refresh: PresentedRefresh; clientId: string }
    | { kind: 'access'; access: PresentedAccess; clientId: string }
    | { kind: 'ticket'; sid: string; hash: string; clientId?: string }
    | { kind: 'session'; sid: string }
  reason: Reason
  actor: Actor
}

export type RevocationDecision =
  | {
      kind: 'revoked'
      /** Empty when there was nothing left to kill. */
      revocations: Revocation[]
      sessions: Session[]
      /** Whether the person is signed out, or the session can still refresh. */
      signedOut: boolean
    }
  | { kind: 'already' }
  | { kind: 'unknown'; which: 'access' | 'refresh' | 'session' }
  | { kind: 'refused'; why: 'client' }

/** The sessions that a request may touch: the store loads these, in this order. */
export function sessionsOf(request: RevocationRequest): string[] {
  const { by } = request
  switch (by.kind) {
    case 'pair':
      return by.refresh && by.refresh.sid !== by.access.sid
        ? [by.access.sid, by.refresh.sid]
        : [by.access.sid]
    case 'refresh':
      return [by.refresh.sid]
    case 'access':
      return [by.access.sid]
    default:
      return [by.sid]
  }
}

/**
 * Decides what a revocation kills. Every way to revoke ends here; the store runs it in the transaction that
 * writes the log. Pure.
 * @param sessions what the store has for `sessionsOf(request)`
 * @param now the time in ms
 */
export function decideRevocation(
  sessions: Map<string, Session>,
  request: RevocationRequest,
  policy: Policy,
  now: number,
): RevocationDecision {
  const { by } = request
  switch (by.kind) {
    case 'pair':
      return decidePair(sessions, by.access, by.refresh, request, policy, now)
    case 'access': {
      if (by.access.clientId !== by.clientId) return { kind: 'refused', why: 'client' }
      return decideAccessOnly(sessions.get(by.access.sid), by.access, request, policy, now)
    }
    case 'refresh':
      return decideRefreshOnly(sessions.get(by.refresh.sid), by.refresh, by.clientId, request, policy, now)
    case 'ticket': {
      const session = sessions.get(by.sid)
      if (!session || !sameHash(session.ticketHash, by.hash)) return { kind: 'unknown', which: 'session' }
      if (by.clientId !== undefined && session.clientId !== by.clientId) {
        return { kind: 'refused', why: 'client' }
      }
      return session.ended ? { kind: 'already' } : outcome([endSession(session, request, now)], true)
    }
    case 'session': {
      const session = sessions.get(by.sid)
      if (!session) return { kind: 'unknown', which: 'session' }
      return session.ended ? { kind: 'already' } : outcome([endSession(session, request, now)], true)
    }
  }
}

type Change = { session?: Session; revocation: Revocation }

function outcome(changes: Change[], signedOut: boolean): RevocationDecision {
  return {
    kind: 'revoked',
    revocations: changes.map((change) => change.revocation),
    sessions: changes.flatMap((change) => change.session ?? []),
    signedOut,
  }
}

/** The contract's table: an access token, and perhaps a refresh token, of one session or of two. */
function decidePair(
  sessions: Map<string, Session>,
  access: PresentedAccess,
  refresh: PresentedRefresh | undefined,
  request: RevocationRequest,
  policy: Policy,
  now: number,
): RevocationDecision {
  const session = sessions.get(access.sid)
  if (!refresh) {
    return decideAccessOnly(session, access, request, policy, now)
  }
  const other = sessions.get(refresh.sid)
  const held = refreshStanding(other, refresh, policy, now)
  if (held === 'unknown') return { kind: 'unknown', which: 'refresh' }
  if (held !== 'live' && accessStanding(session, access, now) === 'revoked') return { kind: 'already' }
  const ends = (one: Session | undefined) => (one && !one.ended ? [endSession(one, request, now)] : [])
  if (session === other) return outcome(ends(session), true)
  // Two sessions, each judged by its own token. Only two live ones prove that the holder has both: an expired or a
  // dead one found somewhere must not end a stranger's session by being sent along with a token of one's own.
  if (held === 'live' && accessStanding(session, access, now) === 'live' && session) {
    return outcome([...ends(session), ...ends(other)], true)
  }
  const alone = decideAccessOnly(session, access, request, policy, now)
  const refreshSide = outcome(ends(other), true)
  if (alone.kind !== 'revoked' || refreshSide.kind !== 'revoked') return refreshSide
  return {
    kind: 'revoked',
    revocations: [...alone.revocations, ...refreshSide.revocations],
    sessions: [...alone.sessions, ...refreshSide.sessions],
    signedOut: alone.signedOut,
  }
}

function decideAccessOnly(
  session: Session | undefined,
  access: PresentedAccess,
  request: RevocationRequest,
  policy: Policy,
  now: number,
): RevocationDecision {
  // Its signature says that it is ours: it is of a session that we forgot, or that a restored copy never knew.
  if (!session) return outcome(expired(access, now) ? [] : [killStray(access, request, now)], true)
  const standing = accessStanding(session, access, now)
  if (standing === 'revoked') return { kind: 'already' }
  const others = liveTokens(session, now).some((token) => token.jti !== access.jti)
  if (!others && !refreshable(session, policy, now)) return outcome([endSession(session, request, now)], true)
  if (standing === 'expired') return outcome([], false)
  return outcome([killAccess(session, access, request, now)], false)
}

function decideRefreshOnly(
  session: Session | undefined,
  refresh: PresentedRefresh,
  clientId: string,
  request: RevocationRequest,
  policy: Policy,
  now: number,
): RevocationDecision {
  if (session && session.clientId !== clientId) return { kind: 'refused', why: 'client' }
  if (!session || refreshStanding(session, refresh, policy, now) === 'unknown') {
    return { kind: 'unknown', which: 'refresh' }
  }
  if (session.ended || !session.refresh) return { kind: 'already' }
  // A client that holds a used token lost the answer with its successor: refreshing has to stop all the same.
  if (policy.cascade === 'session' || liveTokens(session, now).length === 0) {
    return outcome([endSession(session, request, now)], true)
  }
  return outcome([stopRefreshing(session, request, now)], false)
}

function accessStanding(
  session: Session | undefined,
  access: PresentedAccess,
  now: number,
): 'live' | 'expired' | 'revoked' {
  if (session?.ended) return 'revoked'
  if (expired(access, now)) return 'expired'
  return session?.tokens.some((token) => token.jti === access.jti && token.revoked) ? 'revoked' : 'live'
}

function refreshStanding(
  session: Session | undefined,
  refresh: PresentedRefresh,
  policy: Policy,
  now: number,
): 'live' | 'used' | 'unknown' {
  if (!session) return 'unknown'
  if (session.ended || !session.refresh) return 'used'
  const known = presentedBefore(session.refresh, refresh, policy, now)
  if (known === 'unknown') return 'unknown'
  return known === 'live' ? 'live' : 'used'
}

type Cause = { reason: Reason; actor: Actor }

/** A guard with a slow clock may still accept a token that has expired for us; such a one is worth revoking. */
function expired(token: { exp: number }, now: number): boolean {
  return token.exp * 1000 + CLOCK_SKEW <= now
}

function revocation(what: Revocation['what'], session: Session, cause: Cause, now: number): Revocation {
  const { sid, sub, clientId } = session
  const { reason, actor } = cause
  const audiences = Object.keys(session.resources)
  return { what, at: now, sid, sub, clientId, reason, actor, tokens: [], audiences }
}

/** Ends a session: its refresh token and every access token it still holds die with it. */
export function endSession(session: Session, cause: Cause, now: number): Change {
  const tokens = session.tokens.filter((token) => !token.revoked && !expired(token, now))
  return {
    // The store fills in the seq when the log has given one.
    session: { ...session, refresh: undefined, ended: { seq: 0, at: now, reason: cause.reason } },
    revocation: { ...revocation('session', session, cause, now), tokens },
  }
}

function killAccess(session: Session, access: PresentedAccess, cause: Cause, now: number): Change {
  const { jti, idx, exp } = access
  const tokens = session.tokens.map((token) =>
    token.jti === jti ? { ...token, revoked: true as const } : token,
  )
  const killed = { ...revocation('access_token', session, cause, now), jti, tokens: [{ jti, idx, exp }] }
  return { session: { ...session, tokens }, revocation: killed }
}

function killStray(access: PresentedAccess, cause: Cause, now: number): Change {
  const { jti, idx, exp, sid, sub, clientId } = access
  const { reason, actor } = cause
  return {
    revocation: {
      what: 'access_token',
      at: now,
      sid,
      sub,
      clientId,
      jti,
      reason,
      actor,
      tokens: [{ jti, idx, exp }],
    },
  }
}

function stopRefreshing(session: Session, cause: Cause, now: number): Change {
  return {
    session: { ...session, refresh: undefined },
    revocation: revocation('refresh_token', session, cause, now),
  }
}
