import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Client } from 'pg'
import { type Postgres, startPostgres } from '../../../../../test/postgres.ts'
import { CHAIN_START } from '../../domain/audit.ts'
import { checkChain } from '../../domain/audit-chain.ts'
import { DEFAULT_POLICY } from '../../domain/policy.ts'
import type { LoggedRevocation } from '../../domain/revocation.ts'
import { conformance } from '../conformance.ts'
import { logConformance } from '../conformance-logs.ts'
import { NOW, refreshOf, sessionNamed } from '../sessions-of-tests.ts'
import { type Store, StoreUnavailable } from '../store.ts'
import { connect as connectTo } from './connection.ts'
import { openPostgresStore } from './postgres.ts'

let server: Postgres
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

const open = (url: string, serving = true) => openPostgresStore({ url, policy: DEFAULT_POLICY, serving })

let current = ''
const suite = {
  async fresh() {
    current = await server.newDatabase()
  },
  open: () => open(current),
}
conformance('postgres', suite)
logConformance('postgres', suite)

const opening = (sid: string) => ({
  ...{ kind: 'write' as const, records: [], open: sessionNamed(sid), audit: [], at: NOW },
})
const ending = (sid: string) => ({
  kind: 'revoke' as const,
  request: { by: { kind: 'session' as const, sid }, reason: 'user_logout' as const, actor: 'test' },
  at: NOW,
})
const refreshing = (sid: string) => ({
  ...{ kind: 'refresh' as const, request: refreshOf(sid, 1), records: [], at: NOW },
})

describe('one database', () => {
  /** Two processes’ stores, as far as the database can tell. */
  async function two(): Promise<[Store, Store]> {
    const url = await server.newDatabase()
    return [await open(url), await open(url)]
  }
  const until = async (fits: () => boolean) => {
    for (const end = Date.now() + 15_000; !fits(); await new Promise((resolve) => setTimeout(resolve, 10)))
      assert.ok(Date.now() < end)
  }

  it('is opened by many at once: one makes its tables', async () => {
    const url = await server.newDatabase()
    const stores = await Promise.all(Array.from({ length: 5 }, () => open(url, false)))
    await Promise.all(stores.map((store, n) => store.transact(opening(`s${n}`))))
    for (const store of stores) await store.close()
  })

  it('that was set back is not followed: whoever followed it says so, and nothing of it', async () => {
    const url = await server.newDatabase()
    const store = await open(url)
    const heard: string[] = []
    store.onRevocation(() => {})
    store.onOutsideChange((what) => heard.push(what))
    for (const sid of ['a', 'b', 'c']) await store.transact(opening(sid))
    await store.transact(ending('a'))
    await store.transact(ending('b'))
    await store.caughtUp()
    // As after a fail-over to a replica that had not got the last commit.
    const client = new Client({ connectionString: url })
    await client.connect()
    await client.query('DELETE FROM revocations WHERE seq = 2; UPDATE heads SET seq = 1')
    await assert.rejects(async () => store.caughtUp(), /not the one that was followed/)
    await client.query("UPDATE heads SET seq = 2, tag = 'another'")
    await assert.rejects(async () => store.caughtUp(), StoreUnavailable)
    assert.ok(heard.includes('set-back'))
    await client.end()
    await store.close()
  })

  it('is not caught up with as long as its newest revocations are not found', async () => {
    const url = await server.newDatabase()
    const [store, other] = [await open(url), await open(url)]
    const heard: (string | undefined)[] = []
    store.onRevocation((one) => heard.push(one.what === 'session' ? one.sid : undefined))
    await store.caughtUp()
    const client = new Client({ connectionString: url })
    await client.connect()
    // As where questions go to several servers, of which one lags behind.
    await client.query('ALTER TABLE revocations RENAME TO hidden; CREATE TABLE revocations (LIKE hidden)')
    await client.query("UPDATE heads SET seq = 1, tag = 'x'")
    await assert.rejects(async () => store.caughtUp(), StoreUnavailable)
    await client.query('UPDATE heads SET seq = 0; DROP TABLE revocations')
    await client.query("ALTER TABLE hidden RENAME TO revocations; UPDATE heads SET tag = ''")
    await other.transact(opening('a'))
    await other.transact(ending('a'))
    await store.caughtUp()
    assert.deepEqual(heard, ['a'])
    await client.end()
    await Promise.all([store.close(), other.close()])
  })

  it('lets one transaction that can’t be carried out take few others with it', async () => {
    const url = await server.newDatabase()
    const store = await open(url)
    const sids = Array.from({ length: 64 }, (_, n) => `s${n}`)
    await Promise.all(sids.map((sid) => store.transact(opening(sid))))
    const all = sids.map((sid) => store.transact(ending(sid)))
    // No text of PostgreSQL has this character.
    const record = { op: 'put' as const, model: 'M\0', id: 'x', payload: new Uint8Array() }
    const bad = assert.rejects(
      store.transact({ kind: 'write', records: [record], audit: [], at: NOW }),
      StoreUnavailable,
    )
    const unknown = store.transact(ending('a\0b'))
    const ended = await Promise.all(all)
    assert.deepEqual(new Set(ended.map(({ kind }) => kind)), new Set(['revoked']))
    assert.deepEqual(await unknown, { kind: 'unknown', which: 'session' })
    await bad
    const client = new Client({ connectionString: url })
    await client.connect()
    const { rows } = await client.query('SELECT count(DISTINCT xmin::text) AS n FROM sessions')
    assert.ok(Number(rows[0].n) <= 8, `${rows[0].n} commits`)
    await client.end()
    await store.close()
  })

  it('has one process that leads, and another once that has gone', async () => {
    const [one, other] = await two()
    assert.deepEqual([one, other].map((store) => store.leads()).filter(Boolean).length <= 1, true)
    await until(() => one.leads() || other.leads())
    const [first, second] = one.leads() ? [one, other] : [other, one]
    assert.equal(second.leads(), false)
    await first.close()
    assert.equal(first.leads(), false)
    await until(() => second.leads())
    await second.close()
  })

  it('carries what processes say to all others', async () => {
    const [one, other] = await two()
    const said: string[] = []
    const back: string[] = []
    one.onMessage((message) => back.push(message))
    other.onMessage((message) => said.push(message))
    await until(() => one.leads() || other.leads())
    await until(() => {
      one.tellOthers('are you there?')
      return said.length > 0
    })
    assert.equal(said[0], 'are you there?')
    assert.deepEqual(back, [], 'nobody hears themselves')
    await Promise.all([one.close(), other.close()])
  })

  it('whoever asks has heard of all that was committed before, wherever that was', async () => {
    const [one, other] = await two()
    const heard = new Set<string>()
    other.onRevocation((revocation) => heard.add(revocation.what === 'session' ? revocation.sid : ''))
    for (let n = 0; n < 200; n++) {
      await one.transact(opening(`s${n}`))
      await one.transact(ending(`s${n}`))
      await other.caughtUp()
      assert.ok(heard.has(`s${n}`), `s${n}`)
    }
    await Promise.all([one.close(), other.close()])
  })

  it('tells every process that a client was registered, or a key added', async () => {
    const [one, other] = await two()
    const heard: string[] = []
    other.onRevocation(() => {})
    other.onOutsideChange((what) => heard.push(what))
    await other.caughtUp()
    const records = [{ op: 'put' as const, model: 'Client', id: 'c', payload: new Uint8Array(1) }]
    await one.transact({ kind: 'write', records, audit: [], at: NOW })
    await until(() => heard.includes('clients'))
    await one.transact({
      kind: 'put-keys',
      keys: [{ kid: 'k', use: 'signing', sealed: new Uint8Array(1), createdAt: NOW }],
      retire: [],
    })
    await until(() => heard.includes('keys'))
    await Promise.all([one.close(), other.close()])
  })

  it('cuts its logs into tables, and drops those that are old whole', async () => {
    const url = await server.newDatabase()
    const openSmall = () => openPostgresStore({ url, policy: DEFAULT_POLICY, serving: true, partition: 10 })
    const [one, other] = [await openSmall(), await openSmall()]
    const tables = async () => {
      const client = new Client({ connectionString: url })
      await client.connect()
      const { rows } = await client.query(
        "SELECT relname FROM pg_class WHERE relname ~ '^(revocations|audit)_[0-9]+$'",
      )
      await client.end()
      return rows.map(({ relname }) => relname as string).sort()
    }
    const sids = Array.from({ length: 36 }, (_, n) => `s${n}`)
    await Promise.all(sids.map((sid) => one.transact(opening(sid))))
    for (const [n, sid] of sids.entries())
      await (n % 2 ? one : other).transact({ ...ending(sid), at: NOW + n })
    assert.deepEqual(
      (await tables()).filter((name) => name.startsWith('revocations')),
      [0, 1, 2, 3, 4].map((k) => `revocations_${k}`),
    )
    const log = async () =>
      (await other.read({ kind: 'revocations', after: 0, limit: 100 })).map(({ seq }) => seq)
    assert.deepEqual(
      await log(),
      Array.from({ length: 36 }, (_, n) => n + 1),
    )
    const old = { kind: 'forget-old' as const, sessions: 0, limit: 100 }
    // Of 10 to 19 the last is too young.
    while ((await one.transact({ ...old, log: NOW + 18 })).more);
    assert.equal((await log())[0], 10)
    while ((await other.transact({ ...old, log: NOW + 10_000 })).more);
    assert.deepEqual(await log(), [30, 31, 32, 33, 34, 35, 36])
    // All of them in one commit: more than one table of the audit log.
    const audit = Array.from({ length: 44 }, () => ({ event: 'revocation' as const, actor: 'test', at: NOW }))
    await one.transact({ kind: 'write', records: [], audit, at: NOW })
    const { records } = await one.read({ kind: 'head' })
    const queue = { kind: 'queue-deliveries' as const, deliveries: [], records: [], at: NOW }
    await one.transact({ ...queue, from: undefined, to: records })
    const before = await tables()
    while ((await other.transact({ kind: 'prune-audit', before: NOW + 99, limit: 3, at: NOW + 99 })).pruned);
    const after = await tables()
    assert.ok(after.length < before.length - 4, `${before} ${after}`)
    const start = await one.read({ kind: 'audit-anchor' })
    const chain = checkChain({ start })
    const left = await one.read({ kind: 'audit', filter: { limit: 1_000 } })
    for (const record of left) assert.equal(chain.take(record), undefined)
    assert.ok(left.length > 0 && left.every(({ event }) => event === 'audit.pruned'))
    await Promise.all([one.close(), other.close()])
  })

  it('decides races of two processes: nothing that a refresh issued outlives its session', async () => {
    const [one, other] = await two()
    for (let round = 0; round < 40; round++) {
      const sid = `race-${round}`
      await one.transact(opening(sid))
      const [refreshed, ended, again] = await Promise.all([
        one.transact(refreshing(sid)),
        other.transact(ending(sid)),
        one.transact(ending(sid)),
      ])
      const effective = [ended, again].filter((outcome) => outcome.kind === 'revoked')
      assert.equal(effective.length, 1, 'one revocation is effective')
      const [record] = effective[0]?.kind === 'revoked' ? effective[0].revocations : []
      const killed = record?.what === 'session' ? record.tokens.map(({ jti }) => jti) : []
      if (refreshed.kind === 'rotated') assert.ok(killed.includes(refreshed.session.tokens.at(-1)?.jti ?? ''))
      assert.ok((await one.read({ kind: 'session', sid }))?.ended)
    }
    const log = await one.read({ kind: 'revocations', after: 0, limit: 1_000 })
    assert.deepEqual(
      log.map(({ seq }) => seq),
      Array.from({ length: 40 }, (_, n) => n + 1),
    )
    const audit = await other.read({ kind: 'audit', filter: { limit: 1_000 } })
    const chain = checkChain({ start: CHAIN_START })
    for (const record of audit) assert.equal(chain.take(record), undefined)
    await Promise.all([one.close(), other.close()])
  })

  it('tells each process of what all of them revoke, once and in order', async () => {
    const [one, other] = await two()
    const heard: [LoggedRevocation[], LoggedRevocation[]] = [[], []]
    one.onRevocation((revocation) => heard[0].push(revocation))
    other.onRevocation((revocation) => heard[1].push(revocation))
    const sids = Array.from({ length: 60 }, (_, n) => `s${n}`)
    await Promise.all(sids.map((sid) => one.transact(opening(sid))))
    await Promise.all(sids.map((sid, n) => (n % 2 ? one : other).transact(ending(sid))))
    await until(() => heard.every((some) => some.length >= 60))
    for (const some of heard)
      assert.deepEqual(
        some.map(({ seq }) => seq),
        Array.from({ length: 60 }, (_, n) => n + 1),
      )
    await Promise.all([one.close(), other.close()])
  })

  it('goes and comes back: what can’t be durable is refused meanwhile, what was answered is there', async () => {
    const own = await startPostgres()
    const store = await open(await own.newDatabase())
    await store.transact(opening('s'))
    await store.transact(opening('t'))
    await store.transact(ending('s'))
    await own.kill()
    await assert.rejects(store.transact(ending('t')), StoreUnavailable)
    await assert.rejects(store.read({ kind: 'session', sid: 't' }), StoreUnavailable)
    await own.start()
    let ended = false
    for (const end = Date.now() + 15_000; !ended && Date.now() < end; ) {
      ended = await store.transact(ending('t')).then(
        () => true,
        () => false,
      )
      if (!ended) await new Promise((resolve) => setTimeout(resolve, 100))
    }
    assert.ok(ended)
    for (const sid of ['s', 't']) assert.ok((await store.read({ kind: 'session', sid }))?.ended)
    assert.equal((await store.read({ kind: 'head' })).seq, 2)
    await store.close()
    await own.stop()
  })

  /** A wire that loses one commit: on its way there, or its answer on the way back. */
  async function losingWire(url: string) {
    const { port, pathname, username } = new URL(url)
    const wire: { url: string; lose?: 'commit' | 'answer'; lost: number; stop(): void } = {
      ...{ url: '', lost: 0, stop: () => server.close() },
    }
    const server = createServer((near) => {
      const far = connect(Number(port), '127.0.0.1')
      for (const end of [near, far]) end.on('error', () => {})
      far.pipe(near)
      near.on('close', () => far.destroy())
      near.on('data', (bytes) => {
        if (!bytes.includes('COMMIT') || !wire.lose) return void far.write(bytes)
        far.unpipe(near)
        if (wire.lose === 'answer') far.write(bytes)
        wire.lose = undefined
        wire.lost++
        setTimeout(() => near.destroy(), 100)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    wire.url = `postgres://${username}@127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`
    return wire
  }

  it('whose answer to a commit is lost is asked again: what is there is a success, what is not is none', async () => {
    const wire = await losingWire(await server.newDatabase())
    const store = await open(wire.url)
    for (const sid of ['s', 't']) await store.transact(opening(sid))
    wire.lose = 'answer'
    const outcome = await store.transact(ending('s'))
    assert.deepEqual([outcome.kind, wire.lost], ['revoked', 1])
    assert.equal((await store.transact(ending('s'))).kind, 'already')
    wire.lose = 'commit'
    await assert.rejects(store.transact(ending('t')), StoreUnavailable)
    assert.equal(wire.lost, 2)
    assert.equal(
      (await store.read({ kind: 'session', sid: 't' }))?.ended,
      undefined,
      'it said that nothing was done',
    )
    assert.equal((await store.transact(ending('t'))).kind, 'revoked')
    assert.equal((await store.read({ kind: 'head' })).seq, 2)
    await store.close()
    wire.stop()
  })

  it('waits for no process that stands still with the lock in its hand', async () => {
    const url = await server.newDatabase()
    const store = await open(url)
    await store.transact(opening('s'))
    const paused = await connectTo(url, () => {})
    await paused.query('BEGIN')
    await paused.query('SELECT FROM heads FOR UPDATE')
    assert.equal((await store.transact(ending('s'))).kind, 'revoked')
    await assert.rejects(paused.query('COMMIT'))
    await store.close()
  })

  it('that does not sync is refused', async () => {
    const careless = await startPostgres(['-c', 'fsync=off'])
    await assert.rejects(open(await careless.newDatabase()), /fsync = off/)
    await careless.stop()
  })

  it('whose server is not there is said so, without its password', async () => {
    await assert.rejects(open('postgres://rescind:a-password@127.0.0.1:9/none'), (error: Error) => {
      assert.ok(error instanceof StoreUnavailable)
      assert.doesNotMatch(error.message, /a-password/)
      return true
    })
  })
})
