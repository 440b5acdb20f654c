import type { DatabaseSync, StatementSync } from 'node:sqlite'
import {
  type Anchor,
  type AuditEvent,
  type AuditRecord,
  LAST_MOMENT,
  type PruningPlace,
  readEvent,
} from '../../domain/audit.ts'
import type { AuditFilter, AuditPage } from '../audit.ts'

/** So many records are looked through at once for what no index leads to: others wait for the store too. */
const WINDOW = 20_000

/** A number that somebody made larger than ours can be must not keep us from saying where it stands. */
const bounded = (name: string) => `max(min(${name}, ${LAST_MOMENT}), -${LAST_MOMENT}) AS ${name}`
export const N = bounded('n')
const COLUMNS = `${N}, ${bounded('at')}, event, sub, sid, CAST(body AS BLOB) AS body, hash`

/** What of a record is not a column. A body that is no JSON any more matches nothing. */
const inBody = (name: string) => `CASE WHEN json_valid(body) THEN body ->> '$.${name}' END = ?`

const TERMS: { [name in keyof AuditFilter]-?: string } = {
  event: 'event = ?',
  sub: 'sub = ?',
  sid: 'sid = ?',
  clientId: inBody('clientId'),
  actor: inBody('actor'),
  reason: inBody('reason'),
  address: inBody('address'),
  seq: inBody('seq'),
  since: 'at >= ?',
  until: 'at < ?',
}

type Row = {
  n: number
  at: number
  event: string
  sub: string | null
  sid: string | null
  body: Uint8Array
  hash: string
}

/** Looks for records that a filter lets through. */
function openSearch(db: DatabaseSync) {
  const statements = new Map<string, StatementSync>()
  const settledUpTo = db.prepare('SELECT n FROM settled')
  /** Those between two places, both exclusive. */
  return function between(
    above: number,
    below: number,
    filter: AuditFilter,
    order: 'ASC' | 'DESC',
    limit: number,
  ) {
    const names = (Object.keys(TERMS) as (keyof AuditFilter)[]).filter((name) => filter[name] !== undefined)
    const terms = names.map((name) => ` AND ${TERMS[name]}`).join('')
    const given = names.map((name) => filter[name] as string | number)
    const ask = (sql: string, ...values: (string | number)[]) => {
      const statement = statements.get(sql) ?? db.prepare(sql)
      statements.set(sql, statement)
      return (statement.all(...values) as Row[]).map(toRecord)
    }
    const look = (from: number, to: number, most: number) =>
      ask(
        `SELECT ${COLUMNS} FROM audit WHERE audit.n > ? AND audit.n < ?${terms} ORDER BY audit.n ${order} LIMIT ?`,
        ...[from, to, ...given, most],
      )
    const { sub } = filter
    if (sub === undefined) return look(above, below, limit)
    // The newest records are not in the index of accounts yet: see settling.ts.
    const settled = (settledUpTo.get() as { n: number }).n
    const lookUp = (most: number) =>
      ask(
        `SELECT ${COLUMNS} FROM audit_accounts CROSS JOIN audit ON audit.n = record
         WHERE account = ? AND record > ? AND record < ?${terms} ORDER BY record ${order} LIMIT ?`,
        ...[sub, above, Math.min(below, settled + 1), ...given, most],
      )
    const lookBehind = (most: number) => look(Math.max(above, settled), below, most)
    const [first, second] = order === 'ASC' ? [lookUp, lookBehind] : [lookBehind, lookUp]
    const found = first(limit)
    return found.length < limit ? [...found, ...second(limit - found.length)] : found
  }
}

/** What is asked of the audit log, and what is cut off from it when it is old. */
export function openAudit(db: DatabaseSync) {
  const oldest = db.prepare(`SELECT ${N}, ${bounded('at')}, hash FROM audit ORDER BY audit.n LIMIT ?`)
  const newest = db.prepare(`SELECT ${N} FROM audit ORDER BY audit.n DESC LIMIT 1`)
  const following = db.prepare(`SELECT ${N} FROM audit WHERE audit.n > ? ORDER BY audit.n LIMIT 1`)
  const preceding = db.prepare(`SELECT ${N} FROM audit WHERE audit.n < ? ORDER BY audit.n DESC LIMIT 1`)
  const cut = db.prepare('DELETE FROM audit WHERE n <= ?')
  const cutOfAccounts = db.prepare(
    'DELETE FROM audit_accounts WHERE (account, record) IN (SELECT sub, n FROM audit WHERE n <= ?)',
  )
  const anchorAt = db.prepare(`SELECT ${N}, hash, ${bounded('at')} FROM audit_anchor`)
  const anchor = db.prepare('INSERT OR REPLACE INTO audit_anchor (id, n, hash, at) VALUES (1, ?, ?, ?)')

  const between = openSearch(db)
  const numberIn = (row: unknown) => (row as { n: number } | undefined)?.n
  const first = () => numberIn(oldest.get(1)) ?? 1
  const last = () => numberIn(newest.get()) ?? 0

  return {
    audit: ({ after = 0, limit, ...filter }: AuditFilter & { after?: number; limit: number }) =>
      between(after, Number.MAX_SAFE_INTEGER, filter, 'ASC', limit),
    auditPage(filter: AuditFilter, { before, after, limit }: Omit<AuditPage, 'filter'>) {
      // An account has an index; for all else one window at a time is looked through.
      const window = filter.sub === undefined ? WINDOW : Infinity
      if (after !== undefined) {
        const end = Math.max(after, first() - 1) + window
        const toEnd = end >= last()
        const records = between(after, toEnd ? Infinity : end + 1, filter, 'ASC', limit)
        const gap = () => (toEnd ? undefined : numberIn(following.get(end)))
        const reached = records.length === limit ? records.at(-1)?.n : minus(gap(), 1)
        // A number that is bounded is its own next one.
        return { records, ...(reached === undefined || reached <= after ? {} : { next: reached }) }
      }
      const below = before === undefined || before > last() ? Infinity : before
      const start = Math.min(below, last() + 1) - 1 - window
      const toStart = start < first()
      const records = between(toStart ? -Infinity : start, below, filter, 'DESC', limit)
      const gap = () => (toStart ? undefined : numberIn(preceding.get(start + 1)))
      const reached = records.length === limit ? records.at(-1)?.n : minus(gap(), -1)
      return { records, ...(reached === undefined || reached >= below ? {} : { next: reached }) }
    },
    anchor: () => anchorAt.get() as PruningPlace | undefined,
    /**
     * Cuts off the oldest records, at most `limit` of them, as far as they are of before `before` (ms) and no younger than
     * record `upTo`. @returns the last one of them
     */
    cutAudit(before: number, upTo: number, limit: number, at: number): Anchor | undefined {
      const rows = oldest.all(limit) as { n: number; at: number; hash: string }[]
      const kept = rows.findIndex((row) => row.at >= before || row.n > upTo)
      const gone = rows.slice(0, kept < 0 ? rows.length : kept).at(-1)
      if (!gone) return undefined
      cutOfAccounts.run(gone.n)
      cut.run(gone.n)
      anchor.run(gone.n, gone.hash, at)
      return { n: gone.n, hash: gone.hash }
    },
  }
}

const minus = (n: number | undefined, by: number) => (n === undefined ? undefined : n - by)

/**
 * Every byte that is stored has to be what we write, and the columns what the body says; where it isn't, the record's hash
 * is taken from it.
 */
function toRecord({ n, at, event, sub, sid, body, hash }: Row): AuditRecord {
  const stored = readEvent(textOf(body))
  if (!stored) return { at, event: event as AuditEvent['event'], actor: 'unreadable', n, hash: '' }
  const own: Record<string, unknown> = stored
  const same = Object.entries({ at, event, sub, sid }).every(([name, value]) => (own[name] ?? null) === value)
  return { ...stored, n, hash: same ? hash : '' }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    return ''
  }
}
