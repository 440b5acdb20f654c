import { endedBy } from '../domain/cut-off.ts'
import type { Device } from '../domain/device.ts'
import type { Session } from '../domain/session.ts'
import type { CutOffIndex } from './cut-off-index.ts'
import type { Delivery } from './deliveries.ts'
import type { Account } from './stored.ts'

/* Rows as either database gives them, and what they mean. */

export type StoredSession = {
  state: string
  ended_seq: number | null
  ended_at: number | null
  ended_reason: string | null
  last_seen: number | null
}

/** A session as it is now: what ended it may stand in its row, or be a cut-off that came after it. */
export function toSession(row: StoredSession, cutOffs: Pick<CutOffIndex, 'of'>): Session {
  const { state, ended_seq: seq, ended_at: at, ended_reason: reason, last_seen: lastSeen } = row
  const session = JSON.parse(state) as Session
  if (lastSeen !== null) session.lastSeen = lastSeen
  if (seq !== null) return Object.assign(session, { ended: { seq, at, reason } as Session['ended'] })
  const ending = endedBy(session, cutOffs.of(session.clientId))
  return ending ? Object.assign(session, { ended: ending, refresh: undefined }) : session
}

type Row = Record<string, string | number | boolean | null>

export function toAccount(row: Row | undefined): Account | undefined {
  if (!row) return undefined
  const { sub, email, name, password, created_at: createdAt } = row
  const account = { sub, email, name, password, createdAt } as Account
  if (row.valid_after !== null) account.validAfter = row.valid_after as number
  if (row.valid_browser !== null) account.validBrowser = row.valid_browser as string
  if (row.reset_required) account.resetRequired = true
  if (row.review_since !== null) account.reviewSince = row.review_since as number
  if (row.deactivated_at !== null) account.deactivatedAt = row.deactivated_at as number
  return account
}

export function toDevice(row: Row): Device {
  const { id, sub, name, renamed, browser, os, kind, first_seen, last_seen, address, place } = row
  return {
    ...({ id, sub, name, kind, address, place, firstSeen: first_seen, lastSeen: last_seen } as Device),
    ...(renamed ? { renamed: true as const } : {}),
    ...(browser === null ? {} : { browser: browser as string }),
    ...(os === null ? {} : { os: os as string }),
  }
}

export function toDelivery(row: Record<string, unknown>): Delivery {
  const { id, kind, topic, target, sub, n, attempts, state, last_error: lastError } = row
  const { created_at: createdAt, next_at: nextAt } = row
  const known = { id, kind, topic, target, n, createdAt, nextAt, attempts, state }
  return {
    ...known,
    ...(sub === null ? {} : { sub }),
    ...(lastError === null ? {} : { lastError }),
  } as Delivery
}
