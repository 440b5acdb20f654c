import type { Client } from 'pg'
import { prepared } from './connection.ts'
import { makePartitions, PARTITION } from './partitions.ts'
import type { Heads, Writes } from './writes.ts'

/** On which processes are told that there is something to read. */
export const CHANNEL = 'rescind'

const INSERT_SESSIONS = `INSERT INTO sessions
  (sid, sub, client_id, opened_at, browser, state, ended_seq, ended_at, ended_reason, last_seen, due_at)
  SELECT sid, sub, client_id, opened_at, browser, state, ended_seq, ended_at, ended_reason, last_seen, due_at
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
    $9::text[], $10::bigint[], $11::bigint[]) WITH ORDINALITY AS w (sid, sub, client_id, opened_at, browser, state,
    ended_seq, ended_at, ended_reason, last_seen, due_at, place) ORDER BY place`
const UPDATE_SESSIONS = `UPDATE sessions s SET state = w.state, ended_seq = w.ended_seq, ended_at = w.ended_at,
  ended_reason = w.ended_reason, last_seen = w.last_seen, due_at = w.due_at
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[])
  AS w (sid, state, ended_seq, ended_at, ended_reason, last_seen, due_at) WHERE s.sid = w.sid`
const REVOCATIONS = 'INSERT INTO revocations SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[])'
const AUDIT = `INSERT INTO audit SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[],
  $6::text[], $7::text[])`
const DELETE_RECORDS = `DELETE FROM records r USING unnest($1::text[], $2::text[]) AS w (model, id)
  WHERE r.model = w.model AND r.id = w.id`
const PUT_RECORDS = `INSERT INTO records (model, id, payload, expires_at, consumed_at, uid, sid)
  SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
  ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at,
  consumed_at = coalesce(excluded.consumed_at, records.consumed_at), uid = excluded.uid, sid = excluded.sid`
const COUNTERS = `INSERT INTO counters SELECT * FROM unnest($1::text[], $2::bigint[])
  ON CONFLICT (name) DO UPDATE SET value = excluded.value`
const HEADS = 'UPDATE heads SET seq = $1, tag = $2, audit_n = $3, audit_hash = $4, keys = $5, clients = $6'

type Row = readonly unknown[]
type Part = readonly [sql: string, values: unknown[]]

/**
 * Writes what a group has changed: one statement for the tables that every group writes, however many transactions there were.
 * @returns whether other processes have something to read
 */
export async function flush(
  client: Client,
  writes: Writes,
  heads: Heads,
  before: Heads,
  partition = PARTITION,
): Promise<boolean> {
  const partOf = (n: number) => Math.floor(n / partition)
  const { sessions, revocations, audit, records, counters, statements } = writes
  if (partOf(heads.seq) > partOf(before.seq))
    await makePartitions(client, 'revocations', before.seq, heads.seq, partition)
  if (partOf(heads.audit.n) > partOf(before.audit.n))
    await makePartitions(client, 'audit', before.audit.n, heads.audit.n, partition)
  const all = [...records.values()]
  // What is put anew goes first: one statement can’t delete a row and insert it.
  const gone = all.filter(({ row, anew }) => !row || anew).map(({ model, id }) => [model, id])
  if (gone.length > 0) await client.query(prepared(DELETE_RECORDS, columnsOf(gone)))
  const parts: Part[] = []
  const put = (sql: string, rows: Row[]) => {
    if (rows.length > 0) parts.push([sql, columnsOf(rows)])
  }
  const changed = [...sessions.values()]
  const rowOf = ({ state, ended_seq, ended_at, ended_reason, last_seen, due_at }: (typeof changed)[number]) =>
    [state, ended_seq, ended_at, ended_reason, last_seen, due_at] as const
  put(
    INSERT_SESSIONS,
    changed.flatMap((row) => {
      if (!row.inserted) return []
      const { sid, sub, clientId, openedAt, browser = null } = row.inserted
      return [[sid, sub, clientId, openedAt, browser, ...rowOf(row)]]
    }),
  )
  put(
    UPDATE_SESSIONS,
    changed.filter(({ inserted }) => !inserted).map((row) => [row.sid, ...rowOf(row)]),
  )
  put(
    REVOCATIONS,
    revocations.map(({ seq, at, body }) => [seq, at, body]),
  )
  put(
    AUDIT,
    audit.map(({ n, body, hash }) => {
      const { at, event, sub = null, sid = null } = body
      return [n, at, event, sub, sid, JSON.stringify(body), hash]
    }),
  )
  put(
    PUT_RECORDS,
    all.flatMap(({ model, id, row }) =>
      row ? [[model, id, Buffer.from(row.payload), row.expires_at, row.consumed_at, row.uid, row.sid]] : [],
    ),
  )
  put(COUNTERS, [...counters])
  const { seq, tag, audit: chain, keys, clients } = heads
  const heard = seq !== before.seq || keys !== before.keys || clients !== before.clients
  if (heard || chain.n !== before.audit.n) parts.push([HEADS, [seq, tag, chain.n, chain.hash, keys, clients]])
  if (parts.length > 0) await client.query(together(parts))
  for (const [sql, values] of statements) await client.query(sql, values)
  return heard
}

const columnsOf = (rows: Row[]) => (rows[0] as Row).map((_, n) => rows.map((row) => row[n]))

/** One statement that carries out several, of other rows each: every answer of the database has to wait its turn here. */
function together(parts: Part[]) {
  let before = 0
  const texts = parts.map(([sql, values]) => {
    const first = before
    before += values.length
    return sql.replaceAll(/\$(\d+)/g, (_, n) => `$${first + Number(n)}`)
  })
  const last = texts.pop() as string
  const others = texts.map((text, n) => `part_${n} AS (${text})`)
  const text = others.length === 0 ? last : `WITH ${others.join(', ')} ${last}`
  return prepared(
    text,
    parts.flatMap(([, values]) => values),
  )
}
