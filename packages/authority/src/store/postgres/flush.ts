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

/** Writes what a group has changed: a statement for each table, however many transactions there were. */
export async function flush(
  client: Client,
  writes: Writes,
  heads: Heads,
  before: Heads,
  partition = PARTITION,
): Promise<void> {
  const partOf = (n: number) => Math.floor(n / partition)
  const { sessions, revocations, audit, records, counters, statements } = writes
  if (partOf(heads.seq) > partOf(before.seq))
    await makePartitions(client, 'revocations', before.seq, heads.seq, partition)
  if (partOf(heads.audit.n) > partOf(before.audit.n))
    await makePartitions(client, 'audit', before.audit.n, heads.audit.n, partition)
  const put = async (sql: string, rows: Row[]) => {
    if (rows.length === 0) return
    const columns = (rows[0] as Row).map((_, n) => rows.map((row) => row[n]))
    await client.query(prepared(sql, columns))
  }
  const changed = [...sessions.values()]
  const rowOf = ({ state, ended_seq, ended_at, ended_reason, last_seen, due_at }: (typeof changed)[number]) =>
    [state, ended_seq, ended_at, ended_reason, last_seen, due_at] as const
  await put(
    INSERT_SESSIONS,
    changed.flatMap((row) => {
      if (!row.inserted) return []
      const { sid, sub, clientId, openedAt, browser = null } = row.inserted
      return [[sid, sub, clientId, openedAt, browser, ...rowOf(row)]]
    }),
  )
  await put(
    UPDATE_SESSIONS,
    changed.filter(({ inserted }) => !inserted).map((row) => [row.sid, ...rowOf(row)]),
  )
  await put(
    REVOCATIONS,
    revocations.map(({ seq, at, body }) => [seq, at, body]),
  )
  await put(
    AUDIT,
    audit.map(({ n, body, hash }) => {
      const { at, event, sub = null, sid = null } = body
      return [n, at, event, sub, sid, JSON.stringify(body), hash]
    }),
  )
  const all = [...records.values()]
  await put(
    DELETE_RECORDS,
    all.filter(({ row, anew }) => !row || anew).map(({ model, id }) => [model, id]),
  )
  await put(
    PUT_RECORDS,
    all.flatMap(({ model, id, row }) =>
      row ? [[model, id, Buffer.from(row.payload), row.expires_at, row.consumed_at, row.uid, row.sid]] : [],
    ),
  )
  await put(COUNTERS, [...counters])
  for (const [sql, values] of statements) await client.query(sql, values)
  const { seq, tag, audit: chain, keys, clients } = heads
  const heard = seq !== before.seq || keys !== before.keys || clients !== before.clients
  if (!heard && chain.n === before.audit.n) return
  await client.query(prepared(HEADS, [seq, tag, chain.n, chain.hash, keys, clients]))
  if (heard) await client.query(`NOTIFY ${CHANNEL}`)
}
