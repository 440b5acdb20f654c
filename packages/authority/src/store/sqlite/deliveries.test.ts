import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { DEFAULT_POLICY } from '../../domain/policy.ts'
import { GIVE_UP_AFTER, MAX_WAITING_FOR_ONE, type NewDelivery } from '../deliveries.ts'
import type { Store } from '../store.ts'
import { openSqliteStore } from './sqlite.ts'

const AT = 1_764_000_000_000

describe('the outbox', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-outbox-'))
  let store: Store
  let place: number | undefined
  let made = 0
  before(async () => {
    store = await openSqliteStore({ path: join(folder, 'a.db'), policy: DEFAULT_POLICY, exclusive: true })
  })
  after(async () => {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  })

  function delivery(lane: string, nextAt = AT): NewDelivery {
    const id = `msg_${++made}`
    const payload = new Uint8Array([1])
    return { id, kind: 'webhook', topic: 't', target: `https://${lane}/`, lane, n: made, payload, nextAt }
  }
  async function queue(deliveries: NewDelivery[], at = AT) {
    const to = (place ?? 0) + 1
    const from = place
    place = to
    return store.transact({ kind: 'queue-deliveries', from, to, deliveries, records: [], at })
  }
  const due = (at: number, busy: string[] = [], perLane = 2) =>
    store.read({ kind: 'due-deliveries', at, perLane, busy, limit: 100 })
  const settle = (id: string, state: 'waiting' | 'delivered' | 'dead', at: number) =>
    store.transact({ kind: 'settle-delivery', id, state, nextAt: at + 10, error: state, at })

  it('moves its place only from where it is, with what that causes or not at all', async () => {
    assert.deepEqual(await queue([delivery('first')]), { kind: 'queued', refused: 0 })
    assert.equal(await store.read({ kind: 'notify-cursor' }), 1)
    for (const from of [undefined, 0, 2]) {
      const again = {
        kind: 'queue-deliveries',
        from,
        to: 9,
        deliveries: [delivery('first')],
        records: [],
      } as const
      const deliveries = [...again.deliveries]
      assert.equal((await store.transact({ ...again, deliveries, records: [], at: AT })).kind, 'conflict')
    }
    assert.equal(await store.read({ kind: 'notify-cursor' }), 1)
    assert.equal((await store.read({ kind: 'deliveries', limit: 10 })).length, 1)
  })

  it('takes the same delivery once', async () => {
    const one = delivery('twice')
    await queue([one])
    await queue([one])
    assert.equal((await due(AT)).filter(({ lane }) => lane === 'twice').length, 1)
  })

  it('gives a few of each lane, the oldest first, and none of a busy one', async () => {
    await queue([
      delivery('long', AT - 3),
      delivery('long', AT - 5),
      delivery('long', AT - 4),
      delivery('late', AT + 9),
    ])
    const found = await due(AT)
    assert.deepEqual(
      found.filter(({ lane }) => lane === 'long').map(({ nextAt }) => nextAt - AT),
      [-5, -4],
    )
    assert.ok(found.every(({ lane }) => lane !== 'late'))
    assert.ok((await due(AT + 9)).some(({ lane }) => lane === 'late'))
    assert.ok((await due(AT, ['long'])).every(({ lane }) => lane !== 'long'))
  })

  it('settles once, and replays what is dead', async () => {
    const one = delivery('settled')
    await queue([one])
    await settle(one.id, 'waiting', AT)
    assert.equal((await due(AT + 9)).filter(({ lane }) => lane === 'settled').length, 0)
    await settle(one.id, 'dead', AT + 10)
    await settle(one.id, 'delivered', AT + 11)
    const [dead] = await store.read({ kind: 'deliveries', state: 'dead', limit: 10 })
    assert.deepEqual([dead?.id, dead?.attempts, dead?.lastError], [one.id, 2, 'dead'])
    const later = AT + 10 * GIVE_UP_AFTER
    assert.deepEqual(await store.transact({ kind: 'replay-deliveries', id: one.id, at: later }), {
      kind: 'replayed',
      count: 1,
    })
    const again = (await due(later)).find(({ id }) => id === one.id)
    assert.deepEqual([again?.attempts, again?.giveUpAt], [0, later + GIVE_UP_AFTER])
  })

  it('lets so many wait for one receiver; the next are dead at once, and other lanes go on', async () => {
    const many = Array.from({ length: MAX_WAITING_FOR_ONE + 3 }, () => delivery('full'))
    assert.deepEqual(await queue([...many, delivery('other')]), { kind: 'queued', refused: 3 })
    const dead = await store.read({ kind: 'deliveries', state: 'dead', limit: 10 })
    assert.deepEqual(
      dead.map(({ lastError }) => lastError),
      Array(3).fill('too many are waiting for this receiver'),
    )
    assert.ok((await due(AT)).some(({ lane }) => lane === 'other'))
  })
})
