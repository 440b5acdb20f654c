import { existsSync } from 'node:fs'
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import {
  AT_ONCE,
  type Loader,
  type Migrated,
  NotEmpty,
  type Row,
  type Snapshot,
  TABLES,
  type Table,
  type Value,
} from '../moving.ts'
import { holdAlone, openFile } from './file.ts'
import { migrate, SCHEMA } from './schema.ts'
import { SETTLE_ALL } from './settling.ts'

/** Another process that migrates is waited for so long, in ms; an authority gives up sooner. */
const PATIENCE = 10 * 60_000
/** Memory for pages while much is written, in KiB. */
const CACHE = 64 * 1024

/** Brings a database file to the newest schema; it is made when it is missing. */
export function migrateFile(path: string): Migrated {
  const db = openFile(path, PATIENCE)
  try {
    return migrate(db)
  } finally {
    db.close()
  }
}

/**
 * The store in a file as it is now. Where no authority runs on it, none can start until this is closed.
 * @throws when there is no such file, or it can’t be read
 */
export function openFileSnapshot(path: string): Snapshot {
  if (!existsSync(path)) throw new Error('it is not there')
  const lock = unlessRunning(path)
  const db = openFile(path, PATIENCE)
  try {
    migrate(db)
    db.exec('BEGIN')
    // A read transaction begins with the first read.
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
  } catch (error) {
    db.close()
    lock?.close()
    throw error
  }
  return {
    dialect: 'sqlite',
    schema: SCHEMA,
    running: lock === undefined,
    rows: (table) => rowsIn(db, table),
    async close() {
      db.close()
      lock?.close()
    },
  }
}

function unlessRunning(path: string): DatabaseSync | undefined {
  try {
    return holdAlone(path)
  } catch {
    return undefined
  }
}

const orderOf = ({ order }: Table) => (order === 'place' ? 'rowid' : order)

async function* rowsIn(db: DatabaseSync, table: Table): AsyncGenerator<Row[]> {
  const kinds = Object.values(table.columns)
  const names = Object.keys(table.columns).join(', ')
  const statement = db.prepare(`SELECT ${names} FROM ${table.name} ORDER BY ${orderOf(table)}`)
  statement.setReturnArrays(true)
  let some: Row[] = []
  for (const row of statement.iterate() as Iterable<unknown> as Iterable<Row>) {
    some.push(row.map((value, n) => (kinds[n] === 'flag' && value !== null ? value !== 0 : value)))
    if (some.length < AT_ONCE) continue
    yield some
    some = []
  }
  if (some.length > 0) yield some
}

/**
 * An empty store in a file that is there or is made; no authority runs on it meanwhile.
 * @throws NotEmpty
 */
export function openFileLoader(path: string): Loader {
  const lock = holdAlone(path)
  const db = openFile(path, PATIENCE)
  const statements = new Map<string, StatementSync>()
  let indexes: string[]
  try {
    migrate(db)
    db.exec(`PRAGMA cache_size = -${CACHE}; BEGIN IMMEDIATE`)
    for (const { name } of TABLES) if (db.prepare(`SELECT 1 FROM ${name}`).get()) throw new NotEmpty(name)
    indexes = dropIndexes(db)
  } catch (error) {
    db.close()
    lock.close()
    throw error
  }
  function insertInto({ name }: Table, columns: readonly string[]): StatementSync {
    const places = columns.map(() => '?').join(', ')
    const sql = `INSERT INTO ${name} (${columns.join(', ')}) VALUES (${places})`
    const statement = statements.get(sql) ?? db.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  return {
    async put(table, columns, rows) {
      const insert = insertInto(table, columns)
      for (const row of rows) insert.run(...row.map(stored))
    },
    async commit() {
      db.exec(SETTLE_ALL)
      for (const sql of indexes) db.exec(sql)
      db.exec('COMMIT')
    },
    async close() {
      db.close()
      lock.close()
    },
  }
}

const stored = (value: Value): SQLInputValue => (typeof value === 'boolean' ? Number(value) : value)

/** To make an index of all rows at once is much faster than row by row. @returns what makes them again */
function dropIndexes(db: DatabaseSync): string[] {
  const indexes = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
  return (indexes.all() as { name: string; sql: string }[]).map(({ name, sql }) => {
    db.exec(`DROP INDEX ${name}`)
    return sql
  })
}
