import { type CutOff, covers, laterSecond } from './cut-off.ts'
import {
  type Actor,
  type Cause,
  type Change,
  endSession,
  expired,
  killAccess,
  killStray,
  type PresentedAccess,
  type Revocation,
  stopRefreshing,
} from './ending.ts'
import type { Policy } from './policy.ts'
import type { Reason } from './reason.ts'
import { sameSecret } from './secret.ts'
import { liveTokens, presentedBefore, refreshable, type Session } from './session.ts'

export type { LoggedRevocation, LogPosition, PresentedAccess, Revocation } from './ending.ts'

export type PresentedRefresh = { sid: string; generation: number; hash: string }

export type RevocationRequest = {
  /** How it was asked: the contract's pair, one token (RFC 7009), a logout ticket, or by what is to end. */
  by:
    | { kind: 'pair'; access: PresentedAccess; refresh?: PresentedRefresh }
    | { kind: 'refresh'; refresh: PresentedRefresh; clientId: string }
    | { kind: 'access'; access: PresentedAccess; clientId: string }
    | { kind: 'ticket'; sid: string; hash: string; clientId?: string }
    /** With `sub`: only if it is this account's; another's is as good as unknown. */
    | { kind: 'session'; sid: string; sub?: string }
    /** All sessions of an account; only those on one device; all but one, or but those on a device. */
    | { kind: 'account'; sub: string; device?: string; except?: string; exceptDevice?: string }
    /** All that was issued before a time (ms), of everybody or of one client. */
    | { kind: 'issued-before'; before: number; clientId?: string }
  reason: Reason
  actor: Actor
  /** Why, in an administrator's own words. */
  words?: string
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

/** The sessions that a request may touch: the store loads these, or all live ones of an account. */
export function sessionsOf({ by }: RevocationRequest): string[] | { sub: string } {
  switch (by.kind) {
    case 'pair':
      return by.refresh && by.refresh.sid !== by.access.sid
        ? [by.access.sid, by.refresh.sid]
        : [by.access.sid]
    case 'refresh':
      return [by.refresh.sid]
    case 'access':
      return [by.access.sid]
    case 'account':
      return { sub: by.sub }
    case 'issued-before':
      return []
    default:
      return [by.sid]
  }
}

/**
 * Decides what a revocation kills. Every way to revoke ends here; the store runs it in the transaction that
 * writes the log. Pure.
 * @param sessions what the store has for `sessionsOf(request)`
 * @param now the time in ms
 * @param cutOffs those that were ordered before, of the client or of all clients that a cut-off is of
 */
export function decideRevocation(
  sessions: Map<string, Session>,
  request: RevocationRequest,
  policy: Policy,
  now: number,
  cutOffs: readonly CutOff[] = [],
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
      if (!session || !sameSecret(session.ticketHash, by.hash)) return { kind: 'unknown', which: 'session' }
      if (by.clientId !== undefined && session.clientId !== by.clientId) {
        return { kind: 'refused', why: 'client' }
      }
      return session.ended ? { kind: 'already' } : outcome([endSession(session, request, now)], true)
    }
    case 'session': {
      const session = sessions.get(by.sid)
      if (!session || (by.sub ?? session.sub) !== session.sub) return { kind: 'unknown', which: 'session' }
      return session.ended ? { kind: 'already' } : outcome([endSession(session, request, now)], true)
    }
    case 'account': {
      const stays = (one: Session) =>
        one.sid === by.except || (by.exceptDevice !== undefined && one.device === by.exceptDevice)
      const meant = (one: Session) => !stays(one) && (by.device ?? one.device) === one.device
      const live = [...sessions.values()].filter((one) => !one.ended && one.sub === by.sub && meant(one))
      return outcome(
        live.map((one) => endSession(one, request, now)),
        by.except === undefined && by.exceptDevice === undefined,
      )
    }
    case 'issued-before':
      return decideCutOff(by, request, now, cutOffs)
  }
}

function decideCutOff(
  { before, clientId }: { before: number; clientId?: string },
  { reason, actor }: Cause,
  now: number,
  cutOffs: readonly CutOff[],
): RevocationDecision {
  // What has not been issued yet can't be called off.
  const what = { before: Math.min(before, now + 1), ...(clientId === undefined ? {} : { clientId }) }
  if (cutOffs.some((one) => covers(one, what))) return { kind: 'already' }
  const second = laterSecond(cutOffs, what)
  const dated = second === undefined ? what : { ...what, second }
  return outcome([{ revocation: { what: 'cut_off', at: now, ...dated, reason, actor } }], true)
}

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
