import type { DueDelivery } from '../deliveries.ts'
import { type StoredSession, toDelivery } from '../rows.ts'
import type { StoredKey, StoredRecord } from '../store.ts'

/* Rows as PostgreSQL gives them: what is bytes comes as a Buffer. */

// biome-ignore lint/suspicious/noExplicitAny: a row has whatever its statement asks for
export type Rows = (sql: string, values?: unknown[]) => Promise<any[]>

export type SessionRow = StoredSession & { pos?: number; due_at?: number | null }

export const SESSION = 'pos, sid, state, ended_seq, ended_at, ended_reason, last_seen, due_at'

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

export function toKey(row: Record<string, unknown>): StoredKey {
  const { kid, use, sealed, created_at: createdAt, retired_at: retiredAt } = row
  const key = { kid, use, sealed: new Uint8Array(sealed as Uint8Array), createdAt } as StoredKey
  return retiredAt === null ? key : { ...key, retiredAt: retiredAt as number }
}

export function toDueDelivery(row: Record<string, unknown>): DueDelivery {
  const { lane, payload, give_up_at: giveUpAt } = row
  return { ...toDelivery(row), lane, payload: new Uint8Array(payload as Uint8Array), giveUpAt } as DueDelivery
}
