import type { AccessTokenClaims } from '@rescind/guard/claims'
import type { Authority } from './authority.ts'
import { clientNames } from './client-names.ts'
import type { Device } from './domain/device.ts'
import type { Reason } from './domain/reason.ts'
import { holdsAnything, type Session } from './domain/session.ts'
import { RescindError } from './errors.ts'
import { type Revoked, revoke } from './revoke.ts'
import { requireRecentSignIn } from './step-up.ts'
import type { RevokeOutcome } from './store/store.ts'

/* What the holder of a live token may see and end: the sessions of its own account, in every client. */

/** How long a session is listed after its end, in ms. */
const KEPT = 30 * 24 * 60 * 60_000
const MOST = 200

/** Whose sessions, and which of them asks, if one does. */
export type Holder = { sub: string; sid?: string }

/** Times are ISO 8601. */
export type ListedSession = {
  sid: string
  /** Whether it is the session that asks. */
  current: boolean
  client: { id: string; name: string }
  /** Absent where it was never noted. */
  device?: { id: string; name: string; kind: Device['kind'] }
  openedAt: string
  lastSeen: string
  address: string
  place: string
  scope: string
  endedAt?: string
  reason?: Reason
}

/** The account's sessions, live ones first, then those that ended in the last 30 days; 200 in all. */
export async function listSessions(
  authority: Authority,
  { sub, sid: own }: Holder,
): Promise<{ sessions: ListedSession[] }> {
  const [sessions, devices] = await Promise.all([
    sessionsOf(authority, sub),
    authority.store.read({ kind: 'devices', sub }),
  ])
  const deviceOf = new Map(devices.map((device) => [device.id, device]))
  const names = await clientNames(
    authority,
    sessions.map(({ clientId }) => clientId),
  )
  return {
    sessions: sessions.map((session) => {
      const { sid, clientId, openedAt, scope, ended } = session
      const device = deviceOf.get(session.device ?? '')
      return {
        sid,
        current: sid === own,
        client: { id: clientId, name: names.get(clientId) ?? clientId },
        ...(device ? { device: { id: device.id, name: device.name, kind: device.kind } } : {}),
        openedAt: iso(openedAt),
        lastSeen: iso(lastSeenOf(session)),
        address: device?.address ?? 'unknown',
        place: device?.place ?? 'unknown',
        scope,
        ...(ended ? { endedAt: iso(ended.at), reason: ended.reason } : {}),
      }
    }),
  }
}

/** An account's sessions without those of which nothing could be used any more although nobody ended them. */
export async function sessionsOf({ store, config, now }: Authority, sub: string): Promise<Session[]> {
  const limit = Math.max(MOST, config.policy.maxSessions)
  const all = await store.read({ kind: 'account-sessions', sub, endedSince: now() - KEPT, limit })
  const live = all.filter((one) => !one.ended && holdsAnything(one, config.policy, now()))
  return [...live, ...all.filter(({ ended }) => ended)].slice(0, limit)
}

/** When a session was last used, in ms, as far as is known. */
export function lastSeenOf({ openedAt, refreshedAt, lastSeen = 0 }: Session): number {
  return Math.max(openedAt, refreshedAt, lastSeen)
}

export function iso(ms: number): string {
  return new Date(ms).toISOString()
}

/**
 * Ends one session of the account. Another account's is as good as unknown.
 * @throws RescindError NOT_FOUND, UNAVAILABLE
 */
export async function endOne(authority: Authority, { sub, sid: own }: Holder, sid: string, address: string) {
  const reason = sid === own ? 'user_logout' : 'device_removed'
  return found(await revoke(authority, { kind: 'session', sid, sub }, `account:${sub}`, address, { reason }))
}

/**
 * Ends every session of the account but the one that asks, and calls off what its other browsers are signed in to.
 * @throws RescindError UNAVAILABLE
 */
export async function endOthers(
  authority: Authority,
  { sub, sid }: AccessTokenClaims,
  address: string,
): Promise<Revoked> {
  const current = await authority.store.read({ kind: 'session', sid })
  const account = { sub, validAfter: authority.now(), validBrowser: current?.browser }
  const by = { kind: 'account' as const, sub, except: sid }
  return revokedBy(
    await revoke(authority, by, `account:${sub}`, address, { reason: 'device_removed', account }),
  )
}

/**
 * Ends every session of the account that is not on this device, and calls off what its other browsers are signed in to.
 * @param here the device, and the sign-in of the browser on it
 * @throws RescindError UNAVAILABLE
 */
export async function endElsewhere(
  authority: Authority,
  sub: string,
  here: { device?: string; browser: string },
  address: string,
): Promise<Revoked> {
  const account = { sub, validAfter: authority.now(), validBrowser: here.browser }
  const stays = here.device === undefined ? {} : { exceptDevice: here.device }
  const by = { kind: 'account' as const, sub, ...stays }
  return revokedBy(
    await revoke(authority, by, `account:${sub}`, address, { reason: 'device_removed', account }),
  )
}

/**
 * Ends every session of the account, and calls off what any browser is signed in to.
 * @throws RescindError INSUFFICIENT_USER_AUTHENTICATION, UNAVAILABLE
 */
export async function endAll(
  authority: Authority,
  claims: AccessTokenClaims,
  address: string,
): Promise<Revoked> {
  requireRecentSignIn(claims, authority.now())
  const { sub } = claims
  const account = { sub, validAfter: authority.now() }
  return revokedBy(await revoke(authority, { kind: 'account', sub }, `account:${sub}`, address, { account }))
}

/** @throws RescindError NOT_FOUND */
function found(outcome: RevokeOutcome): Extract<RevokeOutcome, { kind: 'revoked' | 'already' }> {
  if (outcome.kind === 'revoked' || outcome.kind === 'already') return outcome
  throw notFound()
}

/** @throws RescindError NOT_FOUND: the account itself has gone meanwhile */
export function revokedBy(outcome: RevokeOutcome): Revoked {
  if (outcome.kind === 'revoked') return outcome
  throw notFound()
}

/** One wording, whether it never was or is somebody else's. */
export function notFound(): RescindError {
  return new RescindError('NOT_FOUND', 'This account has nothing of that id.')
}
