import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DEFAULT_POLICY } from '../../domain/policy.ts'
import { apply } from '../apply.ts'
import { NOW, sessionNamed } from '../sessions-of-tests.ts'
import { openFile } from './file.ts'
import { MIGRATIONS, migrate } from './schema.ts'
import { openSqliteStore } from './sqlite.ts'
import { openTables, type SqliteTables } from './tables.ts'

const folder = mkdtempSync(join(tmpdir(), 'rescind-settling-'))
let files = 0
const newPath = () => join(folder, `${++files}.db`)
after(() => rmSync(folder, { recursive: true, force: true }))

function openAll(path: string): { db: DatabaseSync; tables: SqliteTables } {
  const db = openFile(path, 1_000)
  migrate(db)
  const tables = openTables(db, DEFAULT_POLICY)
  tables.refreshHeads(true)
  return { db, tables }
}

const SUBS = ['alice', 'bob', 'carol']
const subOf = (n: number) => SUBS[n % SUBS.length] as string

/** Session `n` of somebody, with the audit record of its opening. */
function open(tables: SqliteTables, n: number) {
  const session = { ...sessionNamed(`s${n}`), sub: subOf(n) }
  const audit = [
    { event: 'session.opened' as const, at: NOW + n, actor: 'test', sub: session.sub, sid: session.sid },
  ]
  apply(tables, DEFAULT_POLICY, { kind: 'write', records: [], open: session, audit, at: NOW + n })
}

function end(tables: SqliteTables, n: number) {
  const request = {
    by: { kind: 'session' as const, sid: `s${n}` },
    reason: 'user_logout' as const,
    actor: 'test',
  }
  assert.equal(apply(tables, DEFAULT_POLICY, { kind: 'revoke', request, at: NOW + 100 + n }).kind, 'revoked')
}

/** All that is found by an account, whichever way it is asked for. */
function foundBy(tables: SqliteTables, sub: string) {
  const pages = (way: 'before' | 'after') => {
    const numbers: number[] = []
    for (let place: number | undefined = way === 'before' ? 1_000 : 0; place !== undefined; ) {
      const page = tables.auditPage({ sub }, { [way]: place, limit: 2 })
      numbers.push(...page.records.map(({ n }) => n))
      place = page.next
    }
    return numbers
  }
  return {
    records: tables.audit({ sub, limit: 100 }).map(({ n }) => n),
    some: tables.audit({ sub, after: 4, limit: 3 }).map(({ n }) => n),
    ended: tables.audit({ sub, event: 'revocation', limit: 100 }).map(({ n }) => n),
    forwards: pages('after'),
    backwards: pages('before'),
    live: tables.liveSessionsOf(sub).map(({ sid }) => sid),
    sessions: tables.sessionsOf(sub, 0, 100).map(({ sid }) => sid),
    newest: tables.sessionsOf(sub, 0, 3).map(({ sid }) => sid),
    recent: tables.sessionsOf(sub, NOW + 105, 100).map(({ sid }) => sid),
  }
}

describe('indexes by account that follow behind', () => {
  it('give the same answers before, while and after they have caught up', () => {
    const { db, tables } = openAll(newPath())
    for (let n = 0; n < 18; n++) open(tables, n)
    for (const n of [0, 1, 2, 7, 8, 9, 12, 3]) end(tables, n)
    const expected = SUBS.map((sub) => foundBy(tables, sub))
    const [alice] = expected
    // Every third session is hers, and every record of one.
    assert.deepEqual(
      alice?.records,
      [1, 4, 7, 10, 13, 16, 19, 23, 24, 25, 26].filter((n) => alice?.records.includes(n)),
    )
    assert.deepEqual(alice?.live, ['s15', 's6'])
    assert.deepEqual(alice?.sessions, ['s15', 's6', 's3', 's12', 's9', 's0'])
    assert.deepEqual(alice?.recent, ['s15', 's6', 's12', 's9'])
    let rounds = 0
    for (let more = true; more; rounds++) {
      more = tables.settle(3)
      assert.deepEqual(
        SUBS.map((sub) => foundBy(tables, sub)),
        expected,
        `after ${tables.settledUpTo()} records`,
      )
    }
    assert.ok(rounds > 5)
    assert.equal(tables.unsettled(), 0)
    assert.equal(db.prepare('SELECT count(*) AS n FROM sessions WHERE settled_seq IS NULL').get()?.n, 10)
    // What ends from now on is found as well.
    end(tables, 15)
    assert.deepEqual(foundBy(tables, 'alice').live, ['s6'])
    assert.deepEqual(foundBy(tables, 'alice').sessions.slice(0, 2), ['s6', 's15'])
    db.close()
  })

  it('forget what the audit log forgets', () => {
    const { db, tables } = openAll(newPath())
    for (let n = 0; n < 9; n++) open(tables, n)
    while (tables.settle(4));
    for (let n = 9; n < 12; n++) open(tables, n)
    assert.equal(tables.cutAudit(NOW + 8, 1_000, 100, NOW)?.n, 8)
    const left = db.prepare('SELECT account, record FROM audit_accounts').all()
    assert.deepEqual(
      left.map((row) => ({ ...row })),
      [{ account: 'carol', record: 9 }],
    )
    assert.deepEqual(foundBy(tables, 'carol').records, [9, 12])
    db.close()
  })

  it('are there for data of an older schema', () => {
    const path = newPath()
    const old = openFile(path, 1_000)
    for (const migration of MIGRATIONS.slice(0, -1)) old.exec(migration)
    old.exec(`PRAGMA user_version = ${MIGRATIONS.length - 1}`)
    const insert = old.prepare(
      `INSERT INTO sessions (sid, sub, client_id, opened_at, state, ended_seq, ended_at, ended_reason)
       VALUES (?, 'alice', 'app', 0, ?, ?, ?, ?)`,
    )
    insert.run('a', JSON.stringify(sessionNamed('a')), 1, NOW, 'user_logout')
    insert.run('b', JSON.stringify(sessionNamed('b')), null, null, null)
    const event = { at: NOW, event: 'session.opened', actor: 'test', sub: 'alice' }
    old
      .prepare('INSERT INTO audit VALUES (1, ?, ?, ?, NULL, ?, ?)')
      .run(NOW, event.event, 'alice', JSON.stringify(event), 'hash')
    old.close()
    const { db, tables } = openAll(path)
    assert.equal(tables.unsettled(), 0)
    assert.deepEqual(foundBy(tables, 'alice').records, [1])
    assert.deepEqual(foundBy(tables, 'alice').sessions, ['b', 'a'])
    db.close()
  })

  it('keep nobody from hearing what another process revokes while they catch up', async () => {
    const path = newPath()
    const server = await openSqliteStore({ path, policy: DEFAULT_POLICY, exclusive: true })
    const written = { kind: 'write' as const, records: [], audit: [], at: NOW }
    const sids = Array.from({ length: 3_000 }, (_, n) => `s${n}`)
    await Promise.all(
      sids.map((sid) => server.transact({ ...written, open: { ...sessionNamed(sid), sub: sid } })),
    )
    await server.transact({ ...written, open: sessionNamed('other') })
    const endOf = (sid: string) => ({
      kind: 'revoke' as const,
      request: { by: { kind: 'session' as const, sid }, reason: 'user_logout' as const, actor: 'test' },
      at: NOW,
    })
    const command = await openSqliteStore({ path, policy: DEFAULT_POLICY, exclusive: false })
    await Promise.all(sids.map((sid) => server.transact(endOf(sid))))
    const heard: string[] = []
    server.onRevocation((revocation) => void ('sid' in revocation && heard.push(revocation.sid)))
    // They have begun, and have a while to go.
    await sleep(40)
    await command.transact(endOf('other'))
    for (let tries = 0; tries < 200 && heard.length === 0; tries++) await sleep(25)
    assert.deepEqual(heard, ['other'])
    await command.close()
    await server.close()
  })

  it('catch up when nobody waits, and only at the authority itself', async () => {
    const path = newPath()
    const server = await openSqliteStore({ path, policy: DEFAULT_POLICY, exclusive: true })
    const written = { kind: 'write' as const, records: [], audit: [], at: NOW }
    for (let n = 0; n < 300; n++) await server.transact({ ...written, open: sessionNamed(`s${n}`) })
    const endOf = (n: number) => ({
      kind: 'revoke' as const,
      request: {
        by: { kind: 'session' as const, sid: `s${n}` },
        reason: 'user_logout' as const,
        actor: 'test',
      },
      at: NOW,
    })
    await Promise.all(Array.from({ length: 300 }, (_, n) => server.transact(endOf(n))))
    const look = new DatabaseSync(path, { readOnly: true })
    const unsettled = () =>
      look
        .prepare('SELECT count(*) AS n FROM sessions WHERE ended_at IS NOT NULL AND settled_seq IS NULL')
        .get()?.n
    for (let tries = 0; tries < 200 && unsettled() !== 0; tries++) await sleep(25)
    assert.equal(unsettled(), 0)
    assert.equal(look.prepare('SELECT n FROM settled').get()?.n, 300)
    await server.transact({ ...written, open: sessionNamed('late') })
    await server.close()
    const command = await openSqliteStore({ path, policy: DEFAULT_POLICY, exclusive: false })
    await command.transact({
      ...endOf(0),
      request: { ...endOf(0).request, by: { kind: 'session', sid: 'late' } },
    })
    await sleep(100)
    assert.equal(unsettled(), 1)
    assert.deepEqual(
      await command.read({ kind: 'account-sessions', sub: 'alice', endedSince: NOW, limit: 5 }),
      [],
    )
    await command.close()
    look.close()
  })
})
