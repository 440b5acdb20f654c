import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import { DEFAULT_POLICY } from '../../domain/policy.ts'
import { conformance } from '../conformance.ts'
import { logConformance } from '../conformance-logs.ts'
import { sessionNamed } from '../sessions-of-tests.ts'
import { StoreUnavailable } from '../store.ts'
import { openSqliteStore } from './sqlite.ts'

const folders: string[] = []
function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-store-'))
  folders.push(folder)
  return join(folder, 'rescind.db')
}
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const open = (path: string, exclusive = true) => openSqliteStore({ path, policy: DEFAULT_POLICY, exclusive })

let current = ''
const suite = {
  fresh: () => {
    current = newPath()
  },
  open: () => open(current),
}
conformance('sqlite', suite)
logConformance('sqlite', suite)

describe('the embedded store', () => {
  const NOW = 1_800_000_000_000
  const end = (sid: string) => ({
    kind: 'revoke' as const,
    request: { by: { kind: 'session' as const, sid }, reason: 'user_logout' as const, actor: 'test' },
    at: NOW,
  })

  it('refuses a second authority on the same data, and lets it in when the first is gone', async () => {
    const path = newPath()
    const first = await open(path)
    await assert.rejects(open(path), /another authority is running/)
    await first.close()
    const second = await open(path)
    await second.close()
  })

  it('says so when a commit is not possible, writes nothing, and recovers by itself', async () => {
    const path = newPath()
    const store = await open(path)
    const written = { kind: 'write' as const, records: [], audit: [], at: NOW }
    await store.transact({ ...written, open: sessionNamed('s') })
    const intruder = new DatabaseSync(path)
    intruder.exec('BEGIN IMMEDIATE')
    await assert.rejects(store.transact(end('s')), StoreUnavailable)
    intruder.exec('ROLLBACK')
    intruder.close()
    assert.equal((await store.read({ kind: 'session', sid: 's' }))?.ended, undefined)
    assert.equal((await store.transact(end('s'))).kind, 'revoked')
    const { first, seq, records } = await store.read({ kind: 'head' })
    assert.deepEqual([first, seq, records], [1, 1, 1])
    await store.close()
  })

  it('sees what another process wrote: the audit chain goes on from there', async () => {
    const path = newPath()
    const server = await open(path)
    const commandLine = await open(path, false)
    const heard = new Promise<string>((resolve) => server.onOutsideChange(resolve))
    const audit = { event: 'account.created' as const, at: NOW, actor: 'cli' }
    const account = { sub: '1', email: 'a@example.com', name: 'A', password: 'x', createdAt: NOW }
    await commandLine.transact({ kind: 'add-account', account, audit })
    await heard
    await server.transact({
      kind: 'add-account',
      account: { ...account, sub: '2', email: 'b@example.com' },
      audit,
    })
    const records = await server.read({ kind: 'audit', filter: { limit: 10 } })
    assert.deepEqual(
      records.map((record) => record.n),
      [1, 2],
    )
    await commandLine.close()
    await server.close()
  })

  it('refuses requests once it is closed', async () => {
    const store = await open(newPath())
    await store.close()
    await assert.rejects(store.read({ kind: 'head' }), StoreUnavailable)
  })
})
