import type { CutOff } from './cut-off.ts'
import type { Reason } from './reason.ts'
import { CLOCK_SKEW, type IssuedToken, type Session } from './session.ts'

/** Who asked: a holder of the credential, a client, an administrator, or a rule of ours. */
export type Actor = string

/** What a revocation changes, before the log has given it a `seq`. */
export type Revocation = Ended | OrderedCutOff

export type Ended = {
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

/** One record for all that was issued before a time (ms), of everybody or of one client. */
export type OrderedCutOff = Omit<CutOff, 'seq'> & { what: 'cut_off'; actor: Actor }

/**
 * A place in the log: a revocation's number, and a digest of the revocation, since two logs can have grown from one
 * backup. Before the first one: 0 and ''.
 */
export type LogPosition = { seq: number; tag: string }

/** A revocation in the log: durable, ordered, never changed. */
export type LoggedRevocation = Revocation & LogPosition

/** What a genuine access token says of itself; `exp` in seconds. */
export type PresentedAccess = {
  sid: string
  jti: string
  exp: number
  sub: string
  clientId: string
  idx: number
}
/** A session as it is after a revocation, where it changes, and the record of it. */
export type Change = { session?: Session; revocation: Revocation }

/** Why, and who says so. */
export type Cause = { reason: Reason; actor: Actor }

/** A guard with a slow clock may still accept a token that has expired for us; such a one is worth revoking. */
export function expired(token: { exp: number }, now: number): boolean {
  return token.exp * 1000 + CLOCK_SKEW <= now
}

function revocation(what: Ended['what'], session: Session, cause: Cause, now: number): Ended {
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

export function killAccess(session: Session, access: PresentedAccess, cause: Cause, now: number): Change {
  const { jti, idx, exp } = access
  const tokens = session.tokens.map((token) =>
    token.jti === jti ? { ...token, revoked: true as const } : token,
  )
  const killed = { ...revocation('access_token', session, cause, now), jti, tokens: [{ jti, idx, exp }] }
  return { session: { ...session, tokens }, revocation: killed }
}

export function killStray(access: PresentedAccess, cause: Cause, now: number): Change {
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

export function stopRefreshing(session: Session, cause: Cause, now: number): Change {
  return {
    session: { ...session, refresh: undefined },
    revocation: revocation('refresh_token', session, cause, now),
  }
}
