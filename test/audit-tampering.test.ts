import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, beforeEach, describe, it } from 'node:test'
import { auditCommand } from '../packages/authority/src/audit-command.ts'
import type { AuditEvent } from '../packages/authority/src/domain/audit.ts'
import { DEFAULT_POLICY } from '../packages/authority/src/domain/policy.ts'
import { openSqliteStore } from '../packages/authority/src/store/sqlite/sqlite.ts'
import type { Store } from '../packages/authority/src/store/store.ts'

/*
 * Somebody who can write the database changes the audit log: any byte of any record, in any column. `verify` finds it and
 * says where. The changes are drawn from a seed, which a failure names.
 */

const SEED = Number(process.env.SEED ?? 20_260_731)
const CASES = 400
const START = 1_700_000_000_000
const TEXTS = ['event', 'sub', 'sid', 'body', 'hash'] as const

/** The next number below `most` (mulberry32). */
function randomFrom(seed: number) {
  let state = seed
  return (most: number) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % most
  }
}

type Random = ReturnType<typeof randomFrom>

/** One byte that is another one, one more, or one less. */
function withOneByteChanged(bytes: Buffer, random: Random): Buffer {
  const at = random(bytes.length)
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at + 1)]
  const byte = Buffer.from([bytes[at] ?? 0])
  const other = Buffer.from([((bytes[at] ?? 0) + 1 + random(255)) % 256])
  return Buffer.concat(
    [
      [head, other, tail],
      [head, other, byte, tail],
      [head, tail],
    ][random(3)] as Buffer[],
  )
}

function events(): AuditEvent[] {
  const words = ['they called us', 'grün \ufffd 👩‍🚒', 'a line\u2028that ends', '"quoted" \\ \u0000', '']
  return Array.from({ length: 30 }, (_, i) => ({
    ...{ at: START + i * 1000, event: i % 3 ? 'revocation' : 'session.opened', actor: `account:${i % 4}` },
    ...(i % 2 ? { sub: `${i % 4}`, sid: `s${i}`, address: '192.0.2.1' } : {}),
    ...(i % 3 ? { seq: i, detail: `session: ${words[i % words.length]}` } : {}),
  })) as AuditEvent[]
}

async function audit(store: Store, action: 'verify' | 'export' | 'show', given: object = {}) {
  const lines: string[] = []
  await auditCommand(
    action,
    async () => store,
    given,
    (line) => {
      lines.push(`${line}\n`)
    },
  )
  return lines.join('')
}

/** The place that `verify` names, or nothing when the chain is whole to it. */
async function brokenAt(store: Store, given: object = {}): Promise<number | undefined> {
  try {
    await audit(store, 'verify', given)
    return undefined
  } catch (error) {
    const [, n] = /broken at (-?\d+):/.exec((error as Error).message) ?? []
    assert.ok(n !== undefined, `${(error as Error).stack}`)
    return Number(n)
  }
}

const folder = mkdtempSync(join(tmpdir(), 'rescind-tampering-'))
after(() => rmSync(folder, { recursive: true, force: true }))

for (const pruned of [0, 7]) {
  describe(`an audit log that somebody changes${pruned ? ', and that was cut off before' : ''}`, () => {
    const path = join(folder, `${pruned}.db`)
    let store: Store
    let db: DatabaseSync
    let last = 0
    before(async () => {
      store = await openSqliteStore({ path, policy: DEFAULT_POLICY, exclusive: false })
      await store.transact({ kind: 'write', records: [], audit: events(), at: START })
      const queue = { kind: 'queue-deliveries' as const, deliveries: [], records: [], at: START }
      await store.transact({ ...queue, from: undefined, to: 30 })
      const cut = { kind: 'prune-audit' as const, limit: 100, at: START + 60_000 }
      if (pruned) await store.transact({ ...cut, before: START + pruned * 1000 })
      last = (await store.read({ kind: 'head' })).records
      db = new DatabaseSync(path)
      db.exec(
        'CREATE TABLE kept AS SELECT * FROM audit; CREATE TABLE kept_anchor AS SELECT * FROM audit_anchor',
      )
    })
    beforeEach(() => {
      db.exec('DELETE FROM audit; INSERT INTO audit SELECT * FROM kept')
      db.exec('DELETE FROM audit_anchor; INSERT INTO audit_anchor SELECT * FROM kept_anchor')
    })
    after(async () => {
      db.close()
      await store.close()
    })

    const restore = (n: number) => {
      db.exec(`DELETE FROM audit WHERE n = ${n}; INSERT INTO audit SELECT * FROM kept WHERE n = ${n}`)
    }

    it('is whole before', async () => {
      assert.equal(await brokenAt(store), undefined)
    })

    it('shows any byte of any text that is stored', async () => {
      const random = randomFrom(SEED)
      for (let i = 0; i < CASES; i++) {
        const n = pruned + 1 + random(last - pruned)
        const column = `${TEXTS[random(TEXTS.length)]}`
        const { old } = db.prepare(`SELECT CAST(${column} AS BLOB) AS old FROM audit WHERE n = ?`).get(n) as {
          old: Uint8Array | null
        }
        if (old === null || old.length === 0) continue
        const changed = withOneByteChanged(Buffer.from(old), random)
        db.prepare(`UPDATE audit SET ${column} = CAST(? AS TEXT) WHERE n = ?`).run(changed, n)
        const what = `seed ${SEED}, case ${i}: ${column} of ${n} is ${changed}`
        assert.equal(await brokenAt(store), n, what)
        // Reading by a filter gets over it too.
        await audit(store, 'show', { actor: 'nobody', until: '2030-01-01' })
        restore(n)
      }
      assert.equal(await brokenAt(store), undefined, 'a test that restores nothing')
    })

    it('shows numbers that are changed, however large', async () => {
      const huge = ['9000000000000000000', '-9000000000000000000', '0', '-5', '9007199254740993']
      for (const number of huge) {
        db.exec(`UPDATE audit SET at = ${number} WHERE n = 12`)
        assert.equal(await brokenAt(store), 12, `at ${number}`)
        restore(12)
        db.exec(`UPDATE audit SET n = ${number} WHERE n = 12`)
        const first = number.startsWith('-') || number === '0'
        assert.equal(await brokenAt(store), first ? pruned + 1 : 12, `n ${number}`)
        await audit(store, 'show', { actor: 'nobody' })
        await audit(store, 'show', { event: 'nothing', limit: '5' })
        db.exec(`DELETE FROM audit WHERE n = ${number}`)
        restore(12)
      }
      assert.equal(await brokenAt(store), undefined)
    })

    it('shows records that are added at any number, and reads on to the end', async () => {
      const columns = 'at, event, sub, sid, body, hash'
      for (const n of ['9000000000000000000', '-9000000000000000000', '0', '900000000000', `${last + 1}`]) {
        db.exec(`INSERT INTO audit SELECT ${n}, ${columns} FROM audit WHERE n = 20`)
        const place = Number(n) < 1 ? pruned + 1 : last + 1
        assert.equal(await brokenAt(store), place, `n ${n}`)
        await audit(store, 'show', { actor: 'nobody' })
        let pages = 0
        for (let after: number | undefined = -Infinity; after !== undefined && pages < 100; pages++) {
          const page: { next?: number } = await store.read({
            ...{ kind: 'audit-page', filter: { event: 'revocation' }, after, limit: 1 },
          })
          after = page.next
        }
        assert.ok(pages < 50, `${pages} pages with ${n}`)
        db.exec(`DELETE FROM audit WHERE n = ${n}`)
      }
    })

    it('shows a byte that is no UTF-8 in place of the character that stands for one', async () => {
      const replaced = (text: Buffer) =>
        Buffer.from(text.toString('latin1').replace('\u00ef\u00bf\u00bd', '\u00ff'), 'latin1')
      const found = db
        .prepare("SELECT n, CAST(body AS BLOB) AS body FROM audit WHERE body LIKE '%\ufffd%'")
        .get()
      const { n, body } = found as { n: number; body: Uint8Array }
      const file = join(folder, 'utf8.jsonl')
      writeFileSync(file, replaced(Buffer.from(await audit(store, 'export'))))
      assert.equal(await brokenAt(store, { file }), n)
      db.prepare('UPDATE audit SET body = CAST(? AS TEXT) WHERE n = ?').run(replaced(Buffer.from(body)), n)
      assert.equal(await brokenAt(store), n)
    })

    it('shows fields that are added, taken away, or of another kind', async () => {
      for (const body of [
        "json_set(body, '$.more', 1)",
        "json_set(body, '$.reason', null)",
        "json_remove(body, '$.actor')",
        "json_set(body, '$.actor', 7)",
        'replace(body, \'"at":\', \'"at": \')',
        '\'{"at":1,\' || substr(body, 2)',
        ...["'null'", "'[]'", "''", "'7'", "'{}'"],
      ]) {
        db.exec(`UPDATE audit SET body = ${body} WHERE n = 15`)
        assert.equal(await brokenAt(store), 15, body)
        restore(15)
      }
    })

    it('shows records that go, come, or change places', async () => {
      const random = randomFrom(SEED)
      const columns = 'at, event, sub, sid, body, hash'
      for (let i = 0; i < 40; i++) {
        const n = pruned + 2 + random(last - pruned - 3)
        db.exec(`DELETE FROM audit WHERE n = ${n}`)
        assert.equal(await brokenAt(store), n, `seed ${SEED}: ${n} goes`)
        db.exec(`UPDATE audit SET n = ${n} WHERE n = ${n + 1}`)
        assert.equal(await brokenAt(store), n, `seed ${SEED}: ${n + 1} comes to where it was`)
        restore(n)
        restore(n + 1)
        db.exec(`UPDATE audit SET n = -n WHERE n > ${n}; UPDATE audit SET n = 1 - n WHERE n < 0`)
        db.exec(`INSERT INTO audit SELECT ${n + 1}, ${columns} FROM audit WHERE n = ${n}`)
        assert.equal(await brokenAt(store), n + 1, `seed ${SEED}: one comes after ${n}`)
        db.exec('DELETE FROM audit; INSERT INTO audit SELECT * FROM kept')
      }
      db.exec(`DELETE FROM audit WHERE n <= ${pruned + 1}`)
      assert.equal(await brokenAt(store), pruned + 1, 'the first one')
      restore(pruned + 1)
      db.exec(`INSERT INTO audit SELECT ${last + 1}, ${columns} FROM audit WHERE n = ${last}`)
      assert.equal(await brokenAt(store), last + 1, 'one more at the end')
    })

    it('shows an end that was cut off, by what was noted before', async () => {
      const noted = /--anchor: (\S+)/.exec(await audit(store, 'verify'))?.[1]
      assert.equal(await brokenAt(store, { anchor: noted }), undefined)
      if (pruned) {
        db.exec(`DELETE FROM audit WHERE n = ${last}`)
        assert.equal(await brokenAt(store), pruned, 'the record of the pruning goes')
      }
      db.exec(`DELETE FROM audit WHERE n > 20`)
      assert.equal(await brokenAt(store, { anchor: noted }), 21)
      db.exec('DELETE FROM audit')
      if (!pruned) assert.equal(await brokenAt(store, { anchor: noted }), 1)
      db.exec('INSERT INTO audit SELECT * FROM kept')
      const other = `20:${'x'.repeat(43)}`
      assert.equal(await brokenAt(store, { anchor: other }), 20, 'a chain that was made anew')
    })

    it('shows a place of a pruning that is changed, taken away or made up', async () => {
      if (pruned) {
        for (const [change, place] of [
          ['n = n + 1', pruned + 1],
          ['n = n - 1', pruned],
          ['at = at + 1', pruned],
          ["hash = 'x' || substr(hash, 2)", pruned + 1],
          ["hash = hash || ' '", pruned + 1],
        ] as const) {
          db.exec(`UPDATE audit_anchor SET ${change}`)
          assert.ok([place, place + 1].includes((await brokenAt(store)) ?? -1), change)
          db.exec('DELETE FROM audit_anchor; INSERT INTO audit_anchor SELECT * FROM kept_anchor')
        }
        db.exec('DELETE FROM audit_anchor')
        assert.equal(await brokenAt(store), 1)
      }
      db.exec('INSERT OR REPLACE INTO audit_anchor SELECT 1, n, hash, at FROM audit WHERE n = 10')
      assert.equal(await brokenAt(store), 11, 'the records before it are there')
      db.exec('DELETE FROM audit WHERE n <= 10')
      assert.equal(await brokenAt(store), 10, 'no record says so')
    })

    it('shows any byte of an export', async () => {
      const file = join(folder, `${pruned}.jsonl`)
      const text = Buffer.from(await audit(store, 'export'))
      const verify = (bytes: Buffer, given: object = {}) => {
        writeFileSync(file, bytes)
        return brokenAt(store, { file, ...given })
      }
      assert.equal(await verify(text), undefined)
      const random = randomFrom(SEED)
      for (let i = 0; i < CASES; i++) {
        const changed = withOneByteChanged(text, random)
        const differs = changed.findIndex((byte, at) => byte !== text[at])
        const at = differs < 0 ? changed.length : differs
        const n = pruned + 1 + text.subarray(0, at).toString('latin1').split('\n').length - 1
        const place = await verify(changed)
        const what = `seed ${SEED}, case ${i}: byte ${at}, in record ${n}`
        // Whose first line has lost its number starts with record 1, as far as anybody can tell.
        const named = [n - 1, n, n + 1, ...(n === pruned + 1 ? [1] : [])]
        assert.ok(named.includes(place ?? -1), `${what}: ${place}`)
      }
      const lines = text.toString().trimEnd().split('\n')
      const without = (gone: number) => Buffer.from(`${lines.filter((_, i) => i !== gone).join('\n')}\n`)
      assert.equal(await verify(without(3)), pruned + 4)
      assert.equal(await verify(without(0)), 1, 'its beginning')
      const { n, hash } = JSON.parse(`${lines[0]}`)
      assert.equal(await verify(without(0), { anchor: `${n}:${hash}` }), undefined, 'which was noted')
      assert.equal(await verify(text, { anchor: `${last + 1}:${hash}` }), last + 1, 'its end')
    })
  })
}

describe('verifying an audit log', () => {
  it('takes no pruning that comes between for somebody who changes it', async () => {
    const path = join(folder, 'busy.db')
    const store = await openSqliteStore({ path, policy: DEFAULT_POLICY, exclusive: true })
    await store.transact({ kind: 'write', records: [], audit: events(), at: START })
    const queue = { kind: 'queue-deliveries' as const, deliveries: [], records: [], at: START }
    await store.transact({ ...queue, from: undefined, to: 30 })
    let anchors = 0
    const busy: Store = {
      ...store,
      async read(query) {
        const answer = await store.read(query)
        const prune = { kind: 'prune-audit' as const, limit: 5, at: START, before: START + 20_000 }
        if (query.kind === 'audit-anchor' && anchors++ === 0) await store.transact(prune)
        return answer
      },
    }
    assert.match(await audit(busy, 'verify'), /is whole: 26 records, 6 to 31\./)
    assert.equal(anchors, 4, 'it looked twice')
    await store.close()
  })
})
