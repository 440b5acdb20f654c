import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type Anchor, type AuditEvent, type AuditRecord, readEvent } from '../../domain/audit.ts'
import type { AuditFilter, AuditPage } from '../audit.ts'

/** So many records are looked through at once for what no index leads to: others wait for the store too. */
const WINDOW = 20_000

const TERMS: { [name in keyof AuditFilter]-?: string } = {
  event: 'event = ?',
  sub: 'sub = ?',
  sid: 'sid = ?',
  clientId: "body ->> '$.clientId' = ?",
  actor: "body ->> '$.actor' = ?",
  reason: "body ->> '$.reason' = ?",
  address: "body ->> '$.address' = ?",
  seq: "body ->> '$.seq' = ?",
  since: 'at >= ?',
  until: 'at < ?',
}

type Row = {
  n: number
  at: number
  event: string
  sub: string | null
  sid: string | null
  body: string
  hash: string
}

/** What is asked of the audit log, and what is cut off from it when it is old. */
export function openAudit(db: DatabaseSync) {
  const statements = new Map<string, StatementSync>()
  const oldest = db.prepare('SELECT n, at, hash FROM audit ORDER BY n LIMIT ?')
  const newest = db.prepare('SELECT max(n) AS n FROM audit')
  const cut = db.prepare('DELETE FROM audit WHERE n <= ?')
  const anchorAt = db.prepare('SELECT n, hash FROM audit_anchor')
  const anchor = db.prepare('INSERT OR REPLACE INTO audit_anchor (id, n, hash, at) VALUES (1, ?, ?, ?)')

  /** The records between two places, both exclusive, that a filter lets through. */
  function between(above: number, below: number, filter: AuditFilter, order: 'ASC' | 'DESC', limit: number) {
    const names = (Object.keys(TERMS) as (keyof AuditFilter)[]).filter((name) => filter[name] !== undefined)
    const where = ['n > ?', 'n < ?', ...names.map((name) => TERMS[name])].join(' AND ')
    const sql = `SELECT n, at, event, sub, sid, body, hash FROM audit WHERE ${where} ORDER BY n ${order} LIMIT ?`
    const statement = statements.get(sql) ?? db.prepare(sql)
    statements.set(sql, statement)
    const given = names.map((name) => filter[name] as string | number)
    return (statement.all(above, below, ...given, limit) as Row[]).map(toRecord)
  }
  const first = () => (oldest.get(1) as { n: number } | undefined)?.n ?? 1
  const last = () => (newest.get() as { n: number | null }).n ?? 0

  return {
    audit: ({ after = 0, limit, ...filter }: AuditFilter & { after?: number; limit: number }) =>
      between(after, Number.MAX_SAFE_INTEGER, filter, 'ASC', limit),
    auditPage(filter: AuditFilter, { before, after, limit }: Omit<AuditPage, 'filter'>) {
      // An account has an index; for all else one window at a time is looked through.
      const window = filter.sub === undefined ? WINDOW : Number.MAX_SAFE_INTEGER
      if (after !== undefined) {
        const from = Math.max(after, first() - 1)
        const end = from + window
        const records = between(from, end + 1, filter, 'ASC', limit)
        const reached = records.length === limit ? records.at(-1)?.n : end < last() ? end : undefined
        return { records, ...(reached === undefined ? {} : { next: reached }) }
      }
      const below = Math.min(before ?? Number.MAX_SAFE_INTEGER, last() + 1)
      const start = Math.max(0, below - 1 - window)
      const records = between(start, below, filter, 'DESC', limit)
      const reached = records.length === limit ? records.at(-1)?.n : start >= first() ? start + 1 : undefined
      return { records, ...(reached === undefined ? {} : { next: reached }) }
    },
    anchor: () => anchorAt.get() as Anchor | undefined,
    /**
     * Cuts off the oldest records, at most `limit` of them, as far as they are of before `before` (ms) and no younger than
     * record `upTo`. @returns the last one of them
     */
    cutAudit(before: number, upTo: number, limit: number, at: number): Anchor | undefined {
      const rows = oldest.all(limit) as { n: number; at: number; hash: string }[]
      const kept = rows.findIndex((row) => row.at >= before || row.n > upTo)
      const gone = rows.slice(0, kept < 0 ? rows.length : kept).at(-1)
      if (!gone) return undefined
      cut.run(gone.n)
      anchor.run(gone.n, gone.hash, at)
      return { n: gone.n, hash: gone.hash }
    },
  }
}

/** What the columns say has to be what the body says; where it isn't, the record's hash is taken from it. */
function toRecord({ n, at, event, sub, sid, body, hash }: Row): AuditRecord {
  const stored = readBody(body)
  const columns = { at, event, sub, sid }
  const same = Object.entries(columns).every(([name, value]) => (stored[name] ?? null) === value)
  return { ...(stored as AuditEvent), n, hash: same && readEvent(stored) ? hash : '' }
}

/** A body that is no JSON any more is a record that was changed. */
function readBody(body: string): Record<string, unknown> {
  try {
    const read: unknown = JSON.parse(body)
    return typeof read === 'object' && read !== null ? (read as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
