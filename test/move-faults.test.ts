import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { readConfig } from '../packages/authority/src/config.ts'
import { openKeyRing } from '../packages/authority/src/keys/ring.ts'
import { openData } from '../packages/authority/src/open-data.ts'
import { NOW, sessionNamed } from '../packages/authority/src/store/sessions-of-tests.ts'
import { MIGRATIONS } from '../packages/authority/src/store/sqlite/schema.ts'
import { until } from '../packages/guard/test/peer.ts'
import { CLI, done, rescind } from './moved.ts'
import { type Postgres, startPostgres } from './postgres.ts'

/* What can go wrong with a move, and that nothing is half done then. */

const folder = mkdtempSync(join(tmpdir(), 'rescind-move-'))
const source = join(folder, 'source')
const whole = join(folder, 'whole.jsonl')
let server: Postgres
before(async () => {
  server = await startPostgres()
  const { store, seal } = await openData(readConfig({ data: source }, {}), { serving: true })
  await openKeyRing(store, seal, NOW)
  // Of many accounts: whoever opens a session looks at all live ones of its account.
  const sessionOf = (n: number) => ({ ...sessionNamed(`s${n}`), sub: `account-${n % 500}` })
  const opening = (_: unknown, n: number) =>
    store.transact({ kind: 'write', records: [], open: sessionOf(n), audit: [], at: NOW })
  await Promise.all(Array.from({ length: 6_000 }, opening))
  await store.close()
  await done(['export', '--file', whole, '--data', source])
})
after(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

let made = 0
/** A data directory with the master key and nothing else. */
function target(key = join(source, 'master.key'), data = join(folder, `target-${++made}`)): string {
  mkdirSync(data)
  copyFileSync(key, join(data, 'master.key'))
  return data
}

function fileOf(text: string): string {
  const path = join(folder, `file-${++made}.jsonl`)
  writeFileSync(path, text)
  return path
}

function rowsIn(data: string): number {
  const db = new DatabaseSync(join(data, 'rescind.db'))
  const { n } = db
    .prepare('SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM keys) AS n')
    .get() as { n: number }
  db.close()
  return n
}

/** Whether somebody has a transaction open that writes. */
function isBeingWritten(data: string): boolean {
  const db = new DatabaseSync(join(data, 'rescind.db'), { timeout: 0 })
  try {
    db.exec('BEGIN IMMEDIATE')
    return false
  } catch {
    return true
  } finally {
    db.close()
  }
}

async function query(url: string, sql: string) {
  const client = new Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(sql)
  await client.end()
  return rows
}

/** The same with a trailer that fits, as somebody who knows the format can make it. */
function sealed(lines: string[]): string {
  const text = `${lines.join('\n')}\n`
  const rows: Record<string, number> = {}
  for (const line of lines.slice(1)) rows[JSON.parse(line)[0]] = (rows[JSON.parse(line)[0]] ?? 0) + 1
  const sha256 = createHash('sha256').update(text).digest('base64url')
  return `${text}${JSON.stringify({ end: { rows, sha256 } })}\n`
}

describe('rescind import', () => {
  const damaged: Record<string, [change: (text: string) => string, says: RegExp]> = {
    'that lacks its last line': [
      (text) => text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1),
      /cut off/,
    ],
    'that lacks the end of its last line': [(text) => text.slice(0, -2), /cut off/],
    'that ends in the middle of a row': [(text) => text.slice(0, text.length / 2), /cut off/],
    'of which only the first line is left': [(text) => text.slice(0, text.indexOf('\n') + 1), /cut off/],
    'with a value that was changed': [
      (text) => text.replace('"account-1"', '"account-2"').replace('"s4000"', '"s4x00"'),
      /does not hash/,
    ],
    'with a row that is missing': [(text) => text.replace(/\n\["sessions","s77"[^\n]*/, ''), /does not hash/],
    'with two rows in another order': [
      (text) => text.replace(/(\n\["sessions","s7",[^\n]*)(\n[^\n]*)/, '$2$1'),
      /does not hash/,
    ],
    'with a row that is no row': [
      (text) => text.replace('["sessions","s5000"', '["sessions",5000'),
      /Line \d+ is not what was exported/,
    ],
    'with a line that is no JSON': [
      (text) => text.replace('["sessions","s5000"', '["sessions","s5000'),
      /Line \d+ is not/,
    ],
    'with tables in another order': [
      (text) => sealed([...text.split('\n').slice(0, -2), ...text.split('\n').slice(1, 2)]),
      /Line \d+ is not/,
    ],
    'with more after its end': [(text) => `${text}${text}`, /Line \d+ is not/],
    'of a newer format': [
      (text) => text.replace('"version":1', '"version":2'),
      /newer Rescind \(format 2\); upgrade Rescind/,
    ],
    'of a newer schema': [
      (text) => text.replace(/"schema":\d+/, '"schema":99'),
      /newer Rescind \(schema 99 of sqlite\)/,
    ],
    'with a column that we do not know': [
      (text) => text.replace('"due_at"]', '"due_at","mood"]'),
      /newer Rescind \(sessions mood\)/,
    ],
    'that is something else': [() => '{"format":"something else"}\n{}\n', /no export of Rescind/],
    'that is empty': [() => '', /no export of Rescind/],
    'that is not text': [() => '\u0000\u0001\u0002', /no export of Rescind/],
  }
  const untouched = join(folder, 'untouched')
  for (const [what, [change, says]] of Object.entries(damaged))
    it(`refuses a file ${what}`, async () => {
      const data = existsSync(untouched) ? untouched : target(undefined, untouched)
      const text = readFileSync(whole, 'utf8')
      assert.notEqual(change(text), text)
      const { status, stderr } = await rescind(['import', fileOf(change(text)), '--data', data])
      assert.deepEqual(
        [status, says.test(stderr), /Nothing was imported\.\n$/.test(stderr)],
        [1, true, true],
        stderr,
      )
      assert.doesNotMatch(stderr, /\n\s+at /)
      if (existsSync(join(data, 'rescind.db'))) assert.equal(rowsIn(data), 0)
    })

  it('fills the store that all of these were refused for, from the whole file', async () => {
    await done(['import', whole, '--data', untouched])
    assert.equal(rowsIn(untouched), 6_002)
  })

  it('says what to do about a file that is not there, or can’t be read', async () => {
    const data = target()
    const none = await rescind(['import', join(folder, 'none.jsonl'), '--data', data])
    assert.deepEqual([none.status, /There is no file/.test(none.stderr)], [1, true])
    assert.equal((await rescind(['import', folder, '--data', data])).status, 1)
    assert.equal((await rescind(['import', '--data', data])).status, 2)
    assert.equal((await rescind(['import', whole, '--data', data, '--store', 'mysql://x'])).status, 2)
  })

  it('refuses a master key that does not open the keys, before it makes anything', async () => {
    const other = join(folder, 'other.key')
    writeFileSync(other, Buffer.alloc(32, 1).toString('base64url'))
    const [wrong, none, database] = [target(other), join(folder, 'none'), await server.newDatabase()]
    for (const to of [
      ['--data', wrong],
      ['--data', none],
      ['--data', none, '--store', database],
    ]) {
      const { status, stderr } = await rescind(['import', whole, ...to])
      assert.deepEqual(
        [status, /do not open with the master key.*RESCIND_MASTER_KEY/.test(stderr)],
        [1, true],
        stderr,
      )
    }
    assert.deepEqual([readdirSync(wrong), existsSync(none)], [['master.key'], false])
    assert.deepEqual(await query(database, "SELECT FROM pg_tables WHERE schemaname = 'public'"), [])
    const key = readFileSync(join(source, 'master.key'), 'utf8')
    await done(['import', whole, '--data', none], { RESCIND_MASTER_KEY: key })
  })

  it('fills nothing that is not empty', async () => {
    const [data, database] = [target(), await server.newDatabase()]
    const places = [
      ['--data', data],
      ['--data', data, '--store', database],
    ]
    for (const to of places) {
      await done(['import', whole, ...to])
      const { status, stderr } = await rescind(['import', whole, ...to])
      assert.deepEqual(
        [status, /not empty: it already has keys\. Name an empty database/.test(stderr)],
        [1, true],
        stderr,
      )
    }
    const started = target()
    assert.equal(
      spawnSync(process.execPath, [CLI, 'accounts', 'add', 'a@example.com', '--data', started], {
        input: 'a long password\n',
      }).status,
      0,
    )
    assert.match(
      (await rescind(['import', whole, '--data', started])).stderr,
      /not empty: it already has accounts/,
    )
  })

  /** An import that gets all but the end of its file, and is killed once it has written. */
  async function killed(to: string[], hasWritten: () => Promise<boolean> | boolean) {
    const pipe = join(folder, `pipe-${++made}`)
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0)
    const child = spawn(process.execPath, [CLI, 'import', pipe, ...to], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const end = await open(pipe, 'w')
    const gone = new Promise((resolve) => child.once('exit', resolve))
    try {
      await end.write(readFileSync(whole, 'utf8').slice(0, -500))
      await until(hasWritten)
    } finally {
      child.kill('SIGKILL')
      await gone
      await end.close()
    }
  }

  it('that is killed in the middle leaves nothing, and can be done again', async () => {
    const [data, database] = [target(), await server.newDatabase()]
    await killed(['--data', data], () => isBeingWritten(data))
    assert.equal(rowsIn(data), 0)
    await done(['import', whole, '--data', data])
    const to = ['--data', data, '--store', database]
    const busy = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE 'INSERT INTO %'`
    await killed(to, async () => (await query(database, busy)).length > 0)
    await until(async () => (await query(database, busy)).length === 0)
    assert.deepEqual(await query(database, 'SELECT FROM keys'), [])
    await done(['import', whole, ...to])
  })

  it('two at once: one fills it, the other is refused', async () => {
    const [data, database] = [target(), await server.newDatabase()]
    for (const to of [
      ['--data', data],
      ['--data', data, '--store', database],
    ]) {
      const both = await Promise.all([1, 2].map(() => rescind(['import', whole, ...to])))
      assert.deepEqual(
        both.map(({ status }) => status).sort(),
        [0, 1],
        both.map(({ stderr }) => stderr).join(),
      )
    }
    assert.equal(rowsIn(data), 6_002)
    assert.equal((await query(database, 'SELECT FROM sessions')).length, 6_000)
  })
})

describe('rescind export', () => {
  /** What bash makes of it; `$RESCIND` is the command. */
  function shell(script: string) {
    const text = script.replaceAll('$RESCIND', `"${process.execPath}" "${CLI}"`)
    return spawnSync('bash', ['-c', text], { encoding: 'utf8' })
  }

  it('prints what it writes to a file, but for when it was', async () => {
    const printed = await done(['export', '--data', source])
    const rows = (text: string) => text.split('\n').slice(1, -2)
    assert.deepEqual(rows(printed), rows(readFileSync(whole, 'utf8')))
  })

  it('on a disk that is full, or into a pipe that is closed, fails and says so', () => {
    const full = shell(`$RESCIND export --data '${source}' > /dev/full`)
    assert.deepEqual(
      [full.status, full.stderr],
      [1, 'The export can’t be written: the disk is full. It is not whole.\n'],
    )
    const closed = shell(`$RESCIND export --data '${source}' | head -1 > /dev/null; exit "\${PIPESTATUS[0]}"`)
    assert.deepEqual(
      [closed.status, /whoever read it has gone/.test(closed.stderr)],
      [1, true],
      closed.stderr,
    )
  })

  it('to a file that can’t be written whole leaves none, and the one before it as it was', async () => {
    const path = fileOf('what was there before')
    const limited = shell(`trap '' XFSZ; ulimit -f 300; $RESCIND export --file '${path}' --data '${source}'`)
    assert.deepEqual([limited.status, /can’t be written/.test(limited.stderr)], [1, true], limited.stderr)
    assert.equal(readFileSync(path, 'utf8'), 'what was there before')
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.part')),
      [],
    )
    const nowhere = await rescind(['export', '--file', join(folder, 'no', 'such'), '--data', source])
    assert.deepEqual([nowhere.status, /can’t be written/.test(nowhere.stderr)], [1, true])
  })

  it('makes no data where there is none', async () => {
    const data = join(folder, 'not-there')
    const { status, stderr } = await rescind(['export', '--data', data])
    assert.deepEqual([status, /There is no data in/.test(stderr), existsSync(data)], [1, true, false])
  })

  it('beside a running authority is refused, or marked: who imports it is told', async () => {
    const data = target()
    await done(['import', whole, '--data', data])
    const { store } = await openData(readConfig({ data }, {}), { serving: true })
    const refused = await rescind(['export', '--data', data])
    assert.deepEqual([refused.status, refused.stdout, /Stop it first/.test(refused.stderr)], [1, '', true])
    const copy = fileOf(await done(['export', '--while-running', '--data', data]))
    await store.close()
    const { status, stderr } = await rescind(['import', copy, '--data', target()])
    assert.deepEqual([status, /what that ended afterwards lives again/.test(stderr)], [0, true])
  })
})

describe('rescind migrate', () => {
  const all = (count: number, args: string[]) =>
    Promise.all(Array.from({ length: count }, () => rescind(['migrate', ...args])))

  it('by several processes at once is done by one of them', async () => {
    const [data, database] = [target(), await server.newDatabase()]
    for (const to of [
      ['--data', data],
      ['--data', data, '--store', database],
    ]) {
      const outcomes = await all(4, to)
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        [0, 0, 0, 0],
        outcomes.map(({ stderr }) => stderr).join(),
      )
      const made = outcomes.filter(({ stdout }) => /^The store is made, at schema \d+\.\n$/.test(stdout))
      const found = outcomes.filter(({ stdout }) =>
        /^The store is at schema \d+, the newest\.\n$/.test(stdout),
      )
      assert.deepEqual([made.length, found.length], [1, 3])
    }
  })

  it('says from which schema to which', async () => {
    const data = target()
    const db = new DatabaseSync(join(data, 'rescind.db'))
    for (const migration of MIGRATIONS.slice(0, 3)) db.exec(migration)
    db.exec('PRAGMA user_version = 3')
    db.close()
    const newest = MIGRATIONS.length
    assert.equal(await done(['migrate', '--data', data]), `The store went from schema 3 to ${newest}.\n`)
  })

  it('of a newer store is refused, and says what to do', async () => {
    const [data, database] = [target(), await server.newDatabase()]
    const newer = [
      ['--data', data],
      ['--data', data, '--store', database],
    ]
    for (const to of newer) await done(['migrate', ...to])
    const db = new DatabaseSync(join(data, 'rescind.db'))
    db.exec('PRAGMA user_version = 99')
    db.close()
    await query(database, 'UPDATE schema_version SET version = 99')
    for (const to of newer)
      for (const command of [['migrate'], ['export'], ['import', whole]]) {
        const { status, stderr } = await rescind([...command, ...to])
        assert.deepEqual(
          [status, /newer Rescind \(schema 99\); upgrade Rescind/.test(stderr)],
          [1, true],
          stderr,
        )
      }
  })

  it('of a database that can’t be reached fails without its password; one that is none is a wrong configuration', async () => {
    const gone = await rescind(['migrate', '--store', 'postgres://rescind:a-password@127.0.0.1:9/none'])
    assert.deepEqual([gone.status, gone.stderr.includes('a-password')], [1, false], gone.stderr)
    assert.equal((await rescind(['migrate', '--store', 'mysql://x'])).status, 2)
    assert.equal((await rescind(['migrate', 'now'])).status, 2)
  })
})
