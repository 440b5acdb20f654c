import type { Client } from 'pg'
import { type Anchor, CHAIN_START } from '../../domain/audit.ts'
import {
  AT_ONCE,
  CommitUnsure,
  type Kind,
  type Loader,
  type Migrated,
  NotEmpty,
  type Row,
  type Snapshot,
  TABLES,
  type Table,
} from '../moving.ts'
import { tagOf } from '../tag.ts'
import { connectPatiently, prepared, refuseUnlessDurable } from './connection.ts'
import { LEADER } from './ears.ts'
import { CHANNEL } from './flush.ts'
import { dropPartitionsBefore, type Log, makePartitions, PARTITION } from './partitions.ts'
import { migrate, SCHEMA } from './schema.ts'

/** Whoever fills a store waits so long for others that have it, in ms. */
const PATIENCE = 5_000
/** Memory to make an index in. */
const INDEX_MEMORY = '256MB'

async function open(url: string, own: Record<string, string | number> = {}, partition = PARTITION) {
  const client = await connectPatiently(url, own)
  try {
    await refuseUnlessDurable(client)
    return { client, migrated: await migrate(client, partition) }
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

/** Brings a database to the newest schema. It takes as long as it takes; an authority that starts gives up after 5 s. */
export async function migrateDatabase(url: string): Promise<Migrated> {
  const { client, migrated } = await open(url)
  await client.end()
  return migrated
}

/** The store in a database as it is now. */
export async function openDatabaseSnapshot(url: string): Promise<Snapshot> {
  const { client } = await open(url)
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY')
    return {
      dialect: 'postgres',
      schema: SCHEMA,
      running: await isRunning(client),
      rows: (table) => rowsIn(client, table),
      close: () => client.end(),
    }
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

/** One of all authorities on a database leads. */
async function isRunning(client: Client): Promise<boolean> {
  const { rows } = await client.query(
    `SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = $1 AND objsubid = 1
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [LEADER],
  )
  return rows.length > 0
}

const orderOf = ({ order }: Table) => (order === 'place' ? 'pos' : order)

async function* rowsIn(client: Client, table: Table): AsyncGenerator<Row[]> {
  const names = Object.keys(table.columns).join(', ')
  const select = `SELECT ${names} FROM ${table.name} ORDER BY ${orderOf(table)}`
  await client.query(`DECLARE moved NO SCROLL CURSOR FOR ${select}`)
  for (;;) {
    const { rows } = await client.query({ text: `FETCH ${AT_ONCE} FROM moved`, rowMode: 'array' })
    if (rows.length === 0) break
    yield rows as Row[]
  }
  await client.query('CLOSE moved')
}

/**
 * An empty store in a database; nobody else writes to it meanwhile.
 * @param partition how many records of a log make a table
 * @throws NotEmpty
 */
export async function openDatabaseLoader(url: string, partition = PARTITION): Promise<Loader> {
  const own = { lock_timeout: PATIENCE, maintenance_work_mem: INDEX_MEMORY }
  const { client } = await open(url, own, partition)
  const firsts = new Map<Log, number>()
  let indexes: string[]
  try {
    await client.query('BEGIN')
    await client.query('SELECT FROM heads FOR UPDATE')
    for (const { name } of TABLES) {
      if ((await client.query(`SELECT FROM ${name} LIMIT 1`)).rows.length > 0) throw new NotEmpty(name)
    }
    indexes = await dropIndexes(client)
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
  return {
    async put(table, columns, rows) {
      if (isLog(table.name)) {
        const numbers = rows.map((row) => row[columns.indexOf(table.order)] as number)
        await makePartitions(client, table.name, numbers[0] ?? 0, numbers.at(-1) ?? 0, partition)
        firsts.set(table.name, Math.min(firsts.get(table.name) ?? Infinity, numbers[0] ?? 0))
      }
      const values = columns.map((_, n) => rows.map((row) => row[n]))
      await client.query(prepared(insertInto(table, columns), values))
    },
    async commit() {
      for (const sql of indexes) await client.query(sql)
      const heads = await setHeads(client)
      for (const log of LOGS) {
        // Where the next record goes, and nothing before the first: what is old is looked for from the front.
        await makePartitions(client, log, heads[log], heads[log], partition)
        await dropPartitionsBefore(client, log, firsts.get(log) ?? heads[log], partition)
      }
      await client.query(`ANALYZE; NOTIFY ${CHANNEL}`)
      await client.query('COMMIT').catch((error) => {
        throw new CommitUnsure(error.message)
      })
    },
    close: () => client.end().catch(() => {}),
  }
}

const LOGS: readonly Log[] = ['revocations', 'audit']
const isLog = (name: string): name is Log => (LOGS as readonly string[]).includes(name)

const TYPES: Record<Kind, string> = { text: 'text', int: 'bigint', flag: 'boolean', bytes: 'bytea' }

function insertInto({ name, columns: kinds }: Table, columns: readonly string[]): string {
  const names = columns.join(', ')
  const lists = columns.map((column, n) => `$${n + 1}::${TYPES[kinds[column] as Kind]}[]`).join(', ')
  return `INSERT INTO ${name} (${names}) SELECT ${names} FROM unnest(${lists})
    WITH ORDINALITY AS w (${names}, nth) ORDER BY nth`
}

/** To make an index of all rows at once is faster than row by row. @returns what makes them again */
async function dropIndexes(client: Client): Promise<string[]> {
  const { rows } = await client.query(
    `SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS sql
     FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
     WHERE t.relname = ANY ($1) AND t.relnamespace = to_regnamespace(current_schema()) AND NOT i.indisunique`,
    [TABLES.map(({ name }) => name)],
  )
  for (const { name } of rows) await client.query(`DROP INDEX ${name}`)
  // On the tables of a log too.
  return rows.map(({ sql }) => sql.replace(' ON ONLY ', ' ON '))
}

/** Where the log and the chain are, which the embedded store finds in their last rows. */
async function setHeads(client: Client): Promise<Record<Log, number>> {
  const newest = await client.query('SELECT seq, body FROM revocations ORDER BY seq DESC LIMIT 1')
  const audit = await client.query('SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1')
  const anchor = await client.query('SELECT n, hash FROM audit_anchor')
  const { seq = 0, body } = newest.rows[0] ?? {}
  const { n, hash }: Anchor = audit.rows[0] ?? anchor.rows[0] ?? CHAIN_START
  await client.query(
    `UPDATE heads SET seq = $1, tag = $2, audit_n = $3, audit_hash = $4, keys = keys + 1, clients = clients + 1`,
    [seq, body === undefined ? '' : tagOf(body), n, hash],
  )
  return { revocations: seq, audit: n }
}
