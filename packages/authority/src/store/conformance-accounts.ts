import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Account, RecordWrite, Store } from './store.ts'

const NOW = 1_800_000_000_000

/** What every store has to do about accounts. */
export function accountConformance(store: () => Store) {
  it('taken-from-somebody: what is kept for one is refused to others, and a change that rests on what is no longer so', async () => {
    const account = { sub: 'bob', email: 'b@x', name: 'B', password: 'hash', createdAt: NOW }
    const audit = { event: 'account.created' as const, at: NOW, actor: 'test' }
    await store().transact({ kind: 'add-account', account, audit })
    const kept = { model: 'Kept', uid: 'u' }
    const change = (expect: Partial<Account>, id: string) => {
      const records: RecordWrite[] = [
        { op: 'free', ...kept, id },
        { op: 'put', ...kept, id, payload: new Uint8Array() },
      ]
      const changed = { sub: 'bob', email: `${id}@x`, expect }
      return store().transact({ kind: 'change-account', account: changed, records, audit: [], at: NOW })
    }
    const kinds: string[] = []
    for (const [expect, id] of [
      [{ password: 'other' }, 'first'],
      [{ password: 'hash', validAfter: undefined }, 'first'],
      [{}, 'second'],
      [{ email: 'first@x', validAfter: 1 }, 'first'],
      [{ email: 'first@x' }, 'first'],
    ] as [Partial<Account>, string][])
      kinds.push((await change(expect, id)).kind)
    assert.deepEqual(kinds, ['conflict', 'written', 'conflict', 'conflict', 'written'])
    assert.equal((await store().read({ kind: 'account-by-sub', sub: 'bob' }))?.email, 'first@x')
  })

  it('listed-twice-or-never: accounts come page by page, each once, and those for review alone if that is asked', async () => {
    const add = (n: number) => {
      const account = { sub: `a${n}`, email: `${n}@x`, name: 'A', password: 'hash', createdAt: NOW }
      const audit = { event: 'account.created' as const, at: NOW, actor: 'test' }
      return store().transact({ kind: 'add-account', account, audit })
    }
    for (let n = 0; n < 7; n++) await add(n)
    for (const sub of ['a2', 'a5']) {
      const account = { sub, reviewSince: NOW }
      await store().transact({ kind: 'change-account', account, audit: [], at: NOW })
    }
    const list = async (which: { review?: true }, limit: number) => {
      const found: string[] = []
      for (let after: number | undefined = 0; after !== undefined; ) {
        const page: { accounts: Account[]; next?: number } = await store().read({
          ...{ kind: 'accounts', ...which, after, limit },
        })
        assert.ok(page.accounts.length <= limit)
        found.push(...page.accounts.map(({ sub }) => sub))
        after = page.next
      }
      return found.join(' ')
    }
    for (const limit of [1, 3, 7, 100]) {
      assert.equal(await list({}, limit), 'a0 a1 a2 a3 a4 a5 a6')
      assert.equal(await list({ review: true }, limit), 'a2 a5')
    }
  })
}
