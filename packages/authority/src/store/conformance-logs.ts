import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { checkChain } from '../domain/audit-chain.ts'
import { sessionNamed } from './sessions-of-tests.ts'
import type { Store } from './store.ts'

const NOW = 1_800_000_000_000

/**
 * What every store has to do with its two logs, named after what goes wrong where it doesn't.
 * @param open opens a store on the same data each time, until `fresh` is called
 */
export function logConformance(
  name: string,
  suite: { open(): Promise<Store>; fresh(): Promise<void> | void },
) {
  describe(`log conformance: ${name}`, () => {
    let store: Store
    beforeEach(async () => {
      await suite.fresh()
      store = await suite.open()
    })
    afterEach(() => store.close())

    const openSession = (sid: string) =>
      store.transact({ kind: 'write', records: [], open: sessionNamed(sid), audit: [], at: NOW })
    const end = (sid: string) => {
      const request = { by: { kind: 'session' as const, sid }, reason: 'user_logout' as const, actor: 'test' }
      return store.transact({ kind: 'revoke', request, at: NOW })
    }

    it('log-mistaken-for-another: each place in it is told from the same place of another log', async () => {
      const tags = new Set<string>()
      for (const sid of ['s', 'other']) {
        await openSession(sid)
        const outcome = await end(sid)
        const tag = (outcome.kind === 'revoked' && outcome.revocations[0]?.tag) || 'none'
        const [read] = await store.read({ kind: 'revocations', after: 0, limit: 1 })
        const head = await store.read({ kind: 'head' })
        assert.deepEqual([read?.tag, head.tag, await store.read({ kind: 'tag', seq: 1 })], [tag, tag, tag])
        assert.equal(await store.read({ kind: 'tag', seq: 2 }), undefined)
        tags.add(tag)
        await store.close()
        await suite.fresh()
        store = await suite.open()
        assert.equal((await store.read({ kind: 'head' })).tag, '')
      }
      assert.equal(tags.size, 2)
    })

    it('audit-cut-too-far: what was cut off is old, told of, and vouched for by what is left', async () => {
      const revocation = { event: 'revocation' as const, actor: 'test', sub: 'alice' }
      const days = Array.from({ length: 10 }, (_, day) => ({ ...revocation, at: NOW + day, seq: day }))
      await store.transact({ kind: 'write', records: [], audit: days, at: NOW })
      const prune = (before: number, limit = 100) =>
        store.transact({ kind: 'prune-audit', before, limit, at: NOW + 20 })
      assert.equal((await prune(NOW + 9)).pruned, undefined, 'notices have not been made of it')
      const queue = { kind: 'queue-deliveries' as const, deliveries: [], records: [], at: NOW }
      await store.transact({ ...queue, from: undefined, to: 6 })
      assert.equal((await prune(NOW + 9, 2)).pruned?.n, 2)
      assert.equal((await prune(NOW + 4)).pruned?.n, 4, 'what is younger stays')
      assert.equal((await prune(NOW + 9)).pruned?.n, 6)
      assert.equal((await prune(NOW + 9)).pruned, undefined)
      const audit = await store.read({ kind: 'audit', filter: { limit: 100 } })
      const start = await store.read({ kind: 'audit-anchor' })
      assert.deepEqual(
        [audit[0]?.n, start?.n, audit.map(({ event }) => event).slice(-3)],
        [...[7, 6], ['audit.pruned', 'audit.pruned', 'audit.pruned']],
      )
      const chain = checkChain({ start })
      for (const record of audit) assert.equal(chain.take(record), undefined)
      assert.deepEqual(chain.end(), { first: 7, last: { n: 13, hash: audit.at(-1)?.hash } })
    })

    it('log-with-a-hole: what is old goes from its beginning, and the newest stays', async () => {
      const request = (sid: string) => ({
        by: { kind: 'session' as const, sid },
        ...{ reason: 'user_logout' as const, actor: 'test' },
      })
      // The third was committed by a machine whose clock is behind.
      for (const [n, at] of [1, 3, 2, 5, 4].entries()) {
        await openSession(`s${n}`)
        await store.transact({ kind: 'revoke', request: request(`s${n}`), at: NOW + at })
      }
      const forget = (log: number, limit = 100) =>
        store.transact({ kind: 'forget-old', log: NOW + log, sessions: 0, limit })
      const log = async () =>
        (await store.read({ kind: 'revocations', after: 0, limit: 100 })).map(({ seq }) => seq)
      assert.equal((await forget(3)).more, false)
      const has = await log()
      assert.deepEqual(has, [1, 2, 3, 4, 5].slice(-has.length), 'a hole')
      assert.ok(has.length >= 4)
      assert.equal((await forget(100, 2)).more || (await log()).length === 5, true)
      while ((await forget(100, 2)).more);
      const left = await log()
      assert.deepEqual(left, [1, 2, 3, 4, 5].slice(-left.length))
      assert.equal((await store.read({ kind: 'head' })).seq, 5)
      assert.ok(left.includes(5))
    })

    it('session-forgotten-too-soon: those that ended long ago go, the living and the younger stay', async () => {
      for (const sid of ['old', 'young', 'live']) await openSession(sid)
      await end('old')
      await store.transact({
        kind: 'revoke',
        request: { by: { kind: 'session', sid: 'young' }, reason: 'user_logout', actor: 'test' },
        at: NOW + 50,
      })
      const forget = { kind: 'forget-old' as const, log: 0, limit: 10 }
      assert.equal((await store.transact({ ...forget, sessions: NOW + 50 })).more, false)
      const left = await Promise.all(
        ['old', 'young', 'live'].map((sid) => store.read({ kind: 'session', sid })),
      )
      assert.deepEqual(
        left.map((session) => session?.sid),
        [undefined, 'young', 'live'],
      )
    })

    it('session-never-forgotten: those that a cut-off ended go like others, once none of their tokens can live', async () => {
      // When it is looked at for its time; its token lives for another ten minutes.
      const due = NOW + 90 * 24 * 3_600_000
      const tokens = [{ jti: 'long', idx: 7, exp: due / 1000 + 600 }]
      const open = { ...sessionNamed('cut'), tokens }
      await store.transact({ kind: 'write', records: [], open, audit: [], at: NOW })
      const by = { kind: 'issued-before' as const, before: NOW + 1 }
      const request = { by, reason: 'admin_forced' as const, actor: 'test' }
      await store.transact({ kind: 'revoke', request, at: NOW })
      const session = () => store.read({ kind: 'session', sid: 'cut' })
      const timeOut = async (at: number) => {
        const { revocations } = await store.transact({ kind: 'time-out', at, limit: 10 })
        assert.deepEqual(revocations, [])
        await store.transact({ kind: 'forget-old', log: 0, sessions: NOW, limit: 10 })
        assert.deepEqual((await session())?.ended, { seq: 1, at: NOW, reason: 'admin_forced' })
      }
      await timeOut(due)
      const dead = await store.read({ kind: 'cut-off-tokens', after: 0, at: due, limit: 10 })
      assert.deepEqual(dead.indexes, [7], 'whoever begins anew would not find it')
      await timeOut(due + 3_600_000)
      await store.transact({ kind: 'forget-old', log: 0, sessions: NOW + 1, limit: 10 })
      assert.equal(await session(), undefined)
    })

    it('page-that-loses-records: both ways, by every filter, each record comes once', async () => {
      const audit = Array.from({ length: 25 }, (_, i) => ({
        ...{ event: 'revocation' as const, actor: i % 2 ? 'account:a' : 'rescind', at: NOW + i, seq: i },
        ...(i % 3 === 0
          ? { sub: 'alice', sid: 's', clientId: 'app', address: '192.0.2.1', reason: 'x' }
          : {}),
      }))
      await store.transact({ kind: 'write', records: [], audit, at: NOW })
      const filters = [
        {},
        { actor: 'rescind' },
        { sub: 'alice' },
        { sid: 's', clientId: 'app', address: '192.0.2.1', reason: 'x' },
        { since: NOW + 5, until: NOW + 12, event: 'revocation' },
        { seq: 7 },
        { actor: 'nobody' },
      ]
      for (const filter of filters) {
        const all = await store.read({ kind: 'audit', filter: { ...filter, limit: 100 } })
        const expected = all.map(({ n }) => n)
        const [forth, back]: number[][] = [[], []]
        for (let after: number | undefined = -Infinity; after !== undefined; ) {
          const page: { records: { n: number }[]; next?: number } = await store.read({
            ...{ kind: 'audit-page', filter, after, limit: 4 },
          })
          forth?.push(...page.records.map(({ n }) => n))
          after = page.next
        }
        for (let before: number | undefined = Number.MAX_SAFE_INTEGER; before !== undefined; ) {
          const page: { records: { n: number }[]; next?: number } = await store.read({
            ...{ kind: 'audit-page', filter, before, limit: 4 },
          })
          back?.push(...page.records.map(({ n }) => n))
          before = page.next
        }
        assert.deepEqual([forth, back?.reverse()], [expected, expected], JSON.stringify(filter))
      }
      assert.equal((await store.read({ kind: 'audit', filter: { actor: 'rescind', limit: 100 } })).length, 13)
    })
  })
}
