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
}
