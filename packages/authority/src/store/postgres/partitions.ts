import type { Client } from 'pg'

/*
 * The two logs grow without end, so each is cut into tables of a million records, by their numbers, which go up with time and
 * have no gaps. What is old goes with its table: nothing is left to clean up.
 */

/** So many records make a table. */
export const PARTITION = 1_000_000

export type Log = 'revocations' | 'audit'

/** The newest record of a table that is full. */
export type FullPartition = { name: string; n: number; at: number; hash: string }

const NUMBER = { revocations: 'seq', audit: 'n' }

/**
 * Makes the tables for records up to `last`, and one beyond, as far as they can be missing.
 * @param first the first record that may have none
 */
export async function makePartitions(
  client: Client,
  log: Log,
  first: number,
  last: number,
  size: number,
): Promise<void> {
  for (let k = Math.floor(first / size); k <= Math.floor(last / size) + 1; k++) {
    const name = `${log}_${k}`
    const { rows } = await client.query('SELECT to_regclass($1) AS there', [name])
    if (rows[0].there !== null) continue
    // Attached, not made in place: who reads the log is not held up.
    await client.query(`CREATE TABLE ${name} (LIKE ${log})`)
    const range = `FROM (${k * size}) TO (${(k + 1) * size})`
    await client.query(`ALTER TABLE ${log} ATTACH PARTITION ${name} FOR VALUES ${range}`)
  }
}

/** The oldest table, if it is full, and not empty: one that comes after it is. */
export async function oldestPartition(client: Client, log: Log): Promise<FullPartition | undefined> {
  const { rows } = await client.query(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = $1::regclass ORDER BY split_part(c.relname, '_', 2)::bigint LIMIT 2`,
    [log],
  )
  const [oldest, next] = rows as { name: string }[]
  if (!oldest || !next) return undefined
  const n = NUMBER[log]
  const hash = log === 'audit' ? 'hash' : "''"
  const follows = await client.query(`SELECT FROM ${next.name} LIMIT 1`)
  if (follows.rows.length === 0) return undefined
  const last = await client.query(
    `SELECT ${n} AS n, at, ${hash} AS hash FROM ${oldest.name} ORDER BY ${n} DESC LIMIT 1`,
  )
  // One whose records went one by one is no use any more.
  return { name: oldest.name, ...(last.rows[0] ?? { n: 0, at: 0, hash: '' }) }
}

/** Drops the tables before the one of `first`: in a store that is being filled nothing is in them, and nothing will be. */
export async function dropPartitionsBefore(
  client: Client,
  log: Log,
  first: number,
  size: number,
): Promise<void> {
  const { rows } = await client.query(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = $1::regclass AND split_part(c.relname, '_', 2)::bigint < $2`,
    [log, Math.floor(first / size)],
  )
  for (const { name } of rows) await client.query(`DROP TABLE ${name}`)
}
