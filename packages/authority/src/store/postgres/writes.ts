import type { Anchor, AuditEvent } from '../../domain/audit.ts'
import type { Session } from '../../domain/session.ts'
import type { SessionRow } from './rows.ts'

/** Where the log and the chain are, and how often the keys and the registered clients have changed. */
export type Heads = { seq: number; tag: string; audit: Anchor; keys: number; clients: number }

/** A session’s row as it is to be. */
export type ChangedSession = SessionRow & { sid: string; inserted?: Session; due_at: number | null }

/** All that a group of transactions is going to write. */
export type Writes = {
  sessions: Map<string, ChangedSession>
  revocations: { seq: number; at: number; body: string }[]
  audit: { n: number; body: AuditEvent; hash: string }[]
  records: Map<string, RecordChange>
  counters: Map<string, number>
  /** What is rare: statements, in their order. */
  statements: [sql: string, values: unknown[]][]
}

export type RecordChange = {
  model: string
  id: string
  /** One of this name was there before, and goes first. */
  anew?: boolean
  /** Absent: it goes. */
  row?: {
    payload: Uint8Array
    expires_at: number | null
    consumed_at: number | null
    uid: string | null
    sid: string | null
  }
}

export type Reading = {
  /** What was loaded. @throws Missing */
  need<T>(kind: string, ...wanted: (string | number)[]): T
  writes: Writes
}
