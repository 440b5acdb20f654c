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
        for (let after: number | undefined = 0; after !== undefined; ) {
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
