import type { Pool } from 'pg'
import { type AuditEvent, type AuditRecord, type PruningPlace, readEvent } from '../../domain/audit.ts'
import type { AuditFilter, AuditPage } from '../audit.ts'

/** So many records are looked through at once for what no index leads to. */
const WINDOW = 20_000
const LAST = 9_000_000_000_000_000

const member = (name: string) => `member(body, '${name}')`
const TERMS: { [name in keyof AuditFilter]-?: string } = {
  event: 'event =',
  sub: 'sub =',
  sid: 'sid =',
  clientId: `${member('clientId')} =`,
  actor: `${member('actor')} =`,
  reason: `${member('reason')} =`,
  address: `${member('address')} =`,
  seq: `${member('seq')} =`,
  since: 'at >=',
  until: 'at <',
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

/** What is asked of the audit log. */
export function auditQueries(pool: Pool) {
  /** The records between two places, both exclusive, that a filter lets through. */
  async function between(
    above: number,
    below: number,
    filter: AuditFilter,
    order: 'ASC' | 'DESC',
    limit: number,
  ) {
    const names = (Object.keys(TERMS) as (keyof AuditFilter)[]).filter((name) => filter[name] !== undefined)
    const values: (string | number)[] = [Math.max(above, -LAST), Math.min(below, LAST), limit]
    const terms = names.map(
      (name) =>
        `${TERMS[name]} $${values.push(name === 'seq' ? `${filter[name]}` : (filter[name] as string))}`,
    )
    const where = ['n > $1', 'n < $2', ...terms].join(' AND ')
    const sql = `SELECT n, at, event, sub, sid, body, hash FROM audit WHERE ${where} ORDER BY n ${order} LIMIT $3`
    return ((await pool.query(sql, values)).rows as Row[]).map(toRecord)
  }
  async function place(sql: string, values: number[] = []): Promise<number | undefined> {
    return (await pool.query(sql, values)).rows[0]?.n ?? undefined
  }

  async function page({ filter, before, after, limit }: AuditPage) {
    const first = (await place('SELECT min(n) AS n FROM audit')) ?? 1
    const last = (await place('SELECT max(n) AS n FROM audit')) ?? 0
    // An account has an index; for all else one window at a time is looked through.
    const window = filter.sub === undefined ? WINDOW : LAST
    if (after !== undefined) {
      const end = Math.min(Math.max(after, first - 1) + window, LAST)
      const records = await between(after, end >= last ? LAST : end + 1, filter, 'ASC', limit)
      const gap = end >= last ? undefined : await place('SELECT min(n) AS n FROM audit WHERE n > $1', [end])
      const reached = records.length === limit ? records.at(-1)?.n : gap === undefined ? undefined : gap - 1
      return { records, ...(reached === undefined || reached <= after ? {} : { next: reached }) }
    }
    const below = before === undefined || before > last ? LAST : before
    const start = Math.min(below, last + 1) - 1 - window
    const records = await between(start < first ? -LAST : start, below, filter, 'DESC', limit)
    const gap =
      start < first ? undefined : await place('SELECT max(n) AS n FROM audit WHERE n < $1', [start + 1])
    const reached = records.length === limit ? records.at(-1)?.n : gap === undefined ? undefined : gap + 1
    return { records, ...(reached === undefined || reached >= below ? {} : { next: reached }) }
  }

  return {
    audit: ({ after = 0, limit, ...filter }: AuditFilter & { after?: number; limit: number }) =>
      between(after, LAST, filter, 'ASC', limit),
    page,
    async anchor(): Promise<PruningPlace | undefined> {
      return (await pool.query('SELECT n, hash, at FROM audit_anchor')).rows[0]
    },
  }
}

/** Where the columns are not what the body says, the record’s hash is taken from it. */
function toRecord({ n, at, event, sub, sid, body, hash }: Row): AuditRecord {
  const stored = readEvent(body)
  if (!stored) return { at, event: event as AuditEvent['event'], actor: 'unreadable', n, hash: '' }
  const own: Record<string, unknown> = stored
  const same = Object.entries({ at, event, sub, sid }).every(([name, value]) => (own[name] ?? null) === value)
  return { ...stored, n, hash: same ? hash : '' }
}
