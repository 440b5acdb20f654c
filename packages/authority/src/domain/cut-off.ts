import { lifetimesOf, type Policy } from './policy.ts'
import type { Reason } from './reason.ts'
import { CLOCK_SKEW, type Ending, type IssuedToken, type Session } from './session.ts'

/**
 * Everything that was issued before a time is dead, of everybody or of one client: one record, however many sessions
 * it ends. A session ends with it when its newest tokens were issued before.
 */
export type CutOff = {
  seq: number
  /** When it was ordered, in ms. */
  at: number
  /** What was issued before this, in ms, is dead. */
  before: number
  /** Tokens dated before this, in s, are dead; absent: before the end of the second that `before` falls in. */
  second?: number
  /** Only of this client. */
  clientId?: string
  reason: Reason
}

/** How a session was ended by a cut-off; the first one that did counts. */
export function endedBy(session: Session, cutOffs: readonly CutOff[]): Ending | undefined {
  for (const { seq, at, before, clientId, reason } of cutOffs) {
    if (session.refreshedAt >= before) continue
    if (clientId === undefined || clientId === session.clientId) return { seq, at, reason }
  }
  return undefined
}

/** Whether a cut-off leaves another one nothing to kill: it is of all that the other is of, and not older. */
export function covers(old: CutOff, { before, clientId }: Pick<CutOff, 'before' | 'clientId'>): boolean {
  return old.before >= before && (old.clientId === undefined || old.clientId === clientId)
}

/** The unexpired tokens of a session that cut-offs killed, whether or not the session ended with them. */
export function tokensCutOff(
  session: Session,
  cutOffs: readonly CutOff[],
  policy: Policy,
  now: number,
): IssuedToken[] {
  const { accessTokenTtl } = lifetimesOf(policy, session.clientId)
  const ended = endedBy(session, cutOffs) !== undefined
  const mine = cutOffs.filter(({ clientId = session.clientId }) => clientId === session.clientId)
  const first = Math.max(0, ...mine.map(cutOffSecond))
  const unexpired = session.tokens.filter(({ exp }) => exp * 1000 + CLOCK_SKEW > now)
  return unexpired.filter(({ exp }) => ended || exp - accessTokenTtl < first)
}

/** Tokens say when they were issued in whole seconds: those of the second that a cut-off falls in are dead too. */
export function cutOffSecond({ before, second }: Pick<CutOff, 'before' | 'second'>): number {
  return second ?? Math.ceil(before / 1000)
}

/**
 * The second of a cut-off that follows others within theirs: what was issued between them is dated with the next one.
 * @returns nothing where its own second does
 */
export function laterSecond(cutOffs: readonly CutOff[], what: Pick<CutOff, 'before' | 'clientId'>) {
  const { before, clientId } = what
  const overlaps = (one: CutOff) => !one.clientId || !clientId || one.clientId === clientId
  const same = cutOffs.filter(
    (one) => overlaps(one) && one.before < before && cutOffSecond(one) * 1000 > before,
  )
  return same.length === 0 ? undefined : Math.max(...same.map(cutOffSecond)) + 1
}
