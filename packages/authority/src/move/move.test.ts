import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { type Postgres, startPostgres } from '../../../../test/postgres.ts'
import { DEFAULT_POLICY } from '../domain/policy.ts'
import { type Loader, type Row, type Snapshot, TABLES } from '../store/moving.ts'
import { migrateDatabase, openDatabaseLoader, openDatabaseSnapshot } from '../store/postgres/move.ts'
import { openPostgresStore } from '../store/postgres/postgres.ts'
import { SCHEMA as POSTGRES } from '../store/postgres/schema.ts'
import { NOW, sessionNamed } from '../store/sessions-of-tests.ts'
import { migrateFile, openFileLoader, openFileSnapshot } from '../store/sqlite/move.ts'
import { SCHEMA as SQLITE } from '../store/sqlite/schema.ts'
import { exportStore } from './export.ts'
import { importStore } from './import.ts'

const schemas = { sqlite: SQLITE, postgres: POSTGRES }
const folder = mkdtempSync(join(tmpdir(), 'rescind-move-'))
let server: Postgres
before(async () => {
  server = await startPostgres()
})
after(async () => {
  rmSync(folder, { recursive: true, force: true })
  await server.stop()
})

let files = 0
const newFile = () => join(folder, `${++files}.db`)
const newExport = () => join(folder, `${++files}.jsonl`)

/** Text that a careless way from one store to another would change. */
const TEXTS = [
  'plain',
  '',
  ' a  b ',
  'Ünïcödé 💡',
  '{"a":"\\u0000\\ud800"}',
  '\'";--\\',
  'null',
  '\\x00',
  '{}',
]
const INTS = [0, 1, -1, 1_795_658_525_664, Number.MAX_SAFE_INTEGER]
const BYTES = [new Uint8Array(0), new Uint8Array([0, 10, 255, 34, 92]), new Uint8Array(300).fill(7)]
const NEVER_NULL =
  /^(kid|use|sealed|created_at|name|value|list|until|sub|email|password|id|kind|renamed|first_seen|last_seen|address|place|sid|client_id|opened_at|state|seq|body|n|hash|at|event|model|payload|topic|target|lane|next_at|give_up_at|attempts)$/

/** A row of a table that is unlike any other, the nth from the end where rows have a place. */
function rowOf({ name, columns }: (typeof TABLES)[number], n: number): Row {
  const key = `${String(99_999 - n).padStart(5, '0')}${TEXTS[n % TEXTS.length]}`
  return Object.entries(columns).map(([column, kind], place) => {
    const isKey = place === 0 || column === 'email' || (name === 'records' && column === 'id')
    if (isKey) return kind === 'int' ? n + 1 : key
    const optional = !NEVER_NULL.test(column) || (name === 'audit' && /^s/.test(column))
    if (optional && (n + place) % 3 === 0) return null
    if (kind === 'int') return column === 'attempts' ? n : (INTS[(n + place) % INTS.length] as number)
    if (kind === 'flag') return column === 'reset_required' || n % 2 === 0
    return (kind === 'bytes' ? BYTES : TEXTS)[(n + place) % 3] as string
  })
}

const countOf = (name: string) => (name === 'audit_anchor' ? 1 : name === 'sessions' ? 4_321 : 11)

async function fill(loader: Loader) {
  for (const table of TABLES) {
    const rows = Array.from({ length: countOf(table.name) }, (_, n) => rowOf(table, n))
    for (let i = 0; i < rows.length; i += 1_000)
      await loader.put(table, Object.keys(table.columns), rows.slice(i, i + 1_000))
  }
  await loader.commit()
  await loader.close()
}

async function exported(snapshot: Snapshot): Promise<string> {
  let text = ''
  const write = async (more: string) => {
    text += more
  }
  await exportStore(snapshot, write, 0)
  await snapshot.close()
  return text
}

const rowsIn = (text: string) => text.split('\n').slice(1, -2)

async function imported(text: string, open: () => Promise<Loader>) {
  const path = newExport()
  writeFileSync(path, text)
  return importStore(path, { schemas, open, opens: () => true })
}

describe('a store that is moved', () => {
  it('is the same in the other dialect and back, value by value and in the same order', async () => {
    const [from, back, database] = [newFile(), newFile(), await server.newDatabase()]
    await fill(openFileLoader(from))
    const first = await exported(openFileSnapshot(from))
    const { counts } = await imported(first, () => openDatabaseLoader(database))
    assert.deepEqual(counts, Object.fromEntries(TABLES.map(({ name }) => [name, countOf(name)])))
    const second = await exported(await openDatabaseSnapshot(database))
    assert.deepEqual(rowsIn(second), rowsIn(first))
    await imported(second, async () => openFileLoader(back))
    assert.deepEqual(rowsIn(await exported(openFileSnapshot(back))), rowsIn(first))
  })

  it('has all its indexes, on either side', async () => {
    const [path, made, database, fresh] = [
      newFile(),
      newFile(),
      await server.newDatabase(),
      await server.newDatabase(),
    ]
    await fill(openFileLoader(path))
    migrateFile(made)
    await fill(await openDatabaseLoader(database))
    await migrateDatabase(fresh)
    const inFile = (one: string) =>
      ask(one, "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY name")
    const inDatabase = (one: string) =>
      query(one, 'SELECT indexname, indexdef FROM pg_indexes ORDER BY indexname')
    assert.deepEqual(inFile(path), inFile(made))
    assert.deepEqual(await inDatabase(database), await inDatabase(fresh))
  })

  it('takes every column along: whoever adds one says how it is moved', async () => {
    const [path, database] = [newFile(), await server.newDatabase()]
    migrateFile(path)
    await migrateDatabase(database)
    const known = TABLES.flatMap(({ name, columns }) =>
      Object.keys(columns).map((column) => `${name}.${column}`),
    )
    // What is derived is made anew where it arrives.
    const inFile = ask(
      path,
      `SELECT t.name || '.' || c.name AS name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'
       AND t.name NOT IN ('settled', 'audit_accounts') AND c.name <> 'settled_seq'`,
    )
    assert.deepEqual(inFile.map(({ name }) => name).sort(), [...known].sort())
    const inDatabase = await query(
      database,
      `SELECT table_name || '.' || column_name AS name FROM information_schema.columns
       WHERE table_schema = 'public' AND table_name !~ '^(heads|schema_version|.*_[0-9]+)$' AND column_name <> 'pos'`,
    )
    assert.deepEqual(inDatabase.map(({ name }) => name).sort(), [...known].sort())
  })

  it('is as it was when the export began, whatever is written meanwhile', async () => {
    const [path, database] = [newFile(), await server.newDatabase()]
    await fill(openFileLoader(path))
    await fill(await openDatabaseLoader(database))
    for (const snapshot of [openFileSnapshot(path), await openDatabaseSnapshot(database)]) {
      let text = ''
      let wrote = false
      const write = async (more: string) => {
        text += more
        if (wrote) return
        wrote = true
        const gone = "DELETE FROM sessions; DELETE FROM deliveries; INSERT INTO counters VALUES ('later', 1)"
        if (snapshot.dialect === 'sqlite') change(path, gone)
        else await query(database, gone)
      }
      const counts = await exportStore(snapshot, write, 0)
      await snapshot.close()
      assert.deepEqual(
        [counts.sessions, counts.deliveries, counts.counters],
        [4_321, 11, 11],
        snapshot.dialect,
      )
      assert.doesNotMatch(text, /"later"/)
    }
  })

  it('whose logs begin late goes on where they end, and what is old still goes', async () => {
    for (const pruned of [false, true]) {
      const [path, url] = [newFile(), await server.newDatabase()]
      migrateFile(path)
      const some = 'WITH RECURSIVE w (k) AS (VALUES (35) UNION ALL SELECT k + 1 FROM w WHERE k < 58)'
      const body = `'{"what":"token","seq":' || k || '}'`
      change(path, `${some} INSERT INTO revocations SELECT k, ${NOW} + k, ${body} FROM w`)
      const text = `INSERT INTO audit SELECT k, 0, 'revocation', NULL, NULL, '{}', 'hash of ' || k FROM w`
      change(path, pruned ? "INSERT INTO audit_anchor VALUES (1, 58, 'hash of 58', 0)" : `${some} ${text}`)
      await imported(await exported(openFileSnapshot(path)), () => openDatabaseLoader(url, 10))
      const tables = async (log: string) => {
        const sql = `SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^${log}_[0-9]+$' ORDER BY 1`
        return (await query(url, sql)).map(({ relname }) => relname)
      }
      const kept = [3, 4, 5, 6]
      assert.deepEqual(
        await tables('revocations'),
        kept.map((k) => `revocations_${k}`),
      )
      assert.deepEqual(
        await tables('audit'),
        (pruned ? [5, 6] : kept).map((k) => `audit_${k}`),
      )
      const store = await openPostgresStore({ url, policy: DEFAULT_POLICY, serving: true, partition: 10 })
      for (let n = 0; n < 15; n++) {
        await store.transact({ kind: 'write', records: [], open: sessionNamed(`s${n}`), audit: [], at: NOW })
        const request = {
          by: { kind: 'session' as const, sid: `s${n}` },
          reason: 'user_logout' as const,
          actor: 'test',
        }
        await store.transact({ kind: 'revoke', request, at: NOW + 100 })
      }
      const { seq, records } = await store.read({ kind: 'head' })
      assert.deepEqual([seq, records], [73, 73])
      const first = await store.read({ kind: 'audit', filter: { after: 58, limit: 1 } })
      assert.equal(first[0]?.n, 59)
      while ((await store.transact({ kind: 'forget-old', sessions: 0, limit: 100, log: NOW + 99 })).more);
      assert.equal((await store.read({ kind: 'head' })).first, 50, 'the tables of 35 to 49 are gone')
      await store.close()
    }
  })

  it('that the other dialect can’t hold is refused whole, and the message says which rows', async () => {
    const path = newFile()
    await fill(openFileLoader(path))
    const database = await server.newDatabase()
    change(path, "UPDATE devices SET name = 'a' || char(0) || 'b' WHERE id = (SELECT min(id) FROM devices)")
    const refusing = imported(await exported(openFileSnapshot(path)), () => openDatabaseLoader(database))
    await assert.rejects(refusing, /devices, by line \d+.*Nothing was imported/)
    assert.deepEqual(await query(database, 'SELECT FROM keys'), [])
  })
})

function ask(path: string, sql: string): Record<string, unknown>[] {
  const db = new DatabaseSync(path)
  const rows = db.prepare(sql).all()
  db.close()
  return rows
}

function change(path: string, sql: string) {
  const db = new DatabaseSync(path)
  db.exec(sql)
  db.close()
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(sql)
  await client.end()
  return rows
}
