import type { Device } from '../../domain/device.ts'
import type { Session } from '../../domain/session.ts'
import type { Delivery, DueDelivery } from '../deliveries.ts'
import type { Account, StoredKey, StoredRecord } from '../store.ts'

/* Rows as the database gives them, and what they mean. */

// biome-ignore lint/suspicious/noExplicitAny: a row has whatever its statement asks for
export type Rows = (sql: string, values?: unknown[]) => Promise<any[]>

export type SessionRow = {
  pos?: number
  state: string
  ended_seq: number | null
  ended_at: number | null
  ended_reason: string | null
  last_seen: number | null
  due_at?: number | null
}

export const SESSION = 'pos, sid, state, ended_seq, ended_at, ended_reason, last_seen, due_at'

/** A session as its row has it; what a cut-off did to it stands in no row. */
export function toSession({
  state,
  ended_seq: seq,
  ended_at: at,
  ended_reason: reason,
  last_seen,
}: SessionRow): Session {
  const session = JSON.parse(state) as Session
  if (last_seen !== null) session.lastSeen = last_seen
  if (seq !== null) session.ended = { seq, at, reason } as Session['ended']
  return session
}

export type RecordRow = {
  model: string
  id: string
  payload: Uint8Array
  expires_at: number | null
  consumed_at: number | null
  uid: string | null
  sid: string | null
}

export function toRecord(row: RecordRow | null | undefined): StoredRecord | undefined {
  if (!row) return undefined
  const { id, payload, consumed_at: consumed } = row
  return { id, payload: new Uint8Array(payload), ...(consumed === null ? {} : { consumed }) }
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

export function toKey(row: Record<string, unknown>): StoredKey {
  const { kid, use, sealed, created_at: createdAt, retired_at: retiredAt } = row
  const key = { kid, use, sealed: new Uint8Array(sealed as Uint8Array), createdAt } as StoredKey
  return retiredAt === null ? key : { ...key, retiredAt: retiredAt as number }
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

export function toDueDelivery(row: Record<string, unknown>): DueDelivery {
  const { lane, payload, give_up_at: giveUpAt } = row
  return { ...toDelivery(row), lane, payload: new Uint8Array(payload as Uint8Array), giveUpAt } as DueDelivery
}
