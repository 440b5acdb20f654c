import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createWatch, SLOT, SLOTS } from './watch.ts'

describe('what the live view remembers', () => {
  it('counts by slot, by reason and by kind, for an hour', () => {
    let now = 1_000_000_000
    const watch = createWatch(() => now)
    watch.revoked('user_logout')
    watch.revoked('user_logout')
    watch.revoked('token_reuse')
    watch.failed('mail')
    now += SLOT
    watch.revoked('user_logout')
    const { slots } = watch.seen()
    assert.deepEqual(
      slots.map(({ reasons, failed }) => [reasons, failed]),
      [
        [{ user_logout: 2, token_reuse: 1 }, { mail: 1 }],
        [{ user_logout: 1 }, {}],
      ],
    )
    now += SLOT * SLOTS
    assert.equal(watch.seen().slots.length, 1)
  })

  it('holds no more than an hour, whatever comes', () => {
    let now = 0
    const watch = createWatch(() => now)
    for (let i = 0; i < 3 * SLOTS; i++) {
      watch.revoked('user_logout')
      now += SLOT
    }
    assert.ok(watch.seen().slots.length <= SLOTS)
  })

  it('knows the percentiles of the newest confirmations of each service', () => {
    const watch = createWatch(() => 5_000_000)
    for (let ms = 1; ms <= 100; ms++) watch.acknowledged(ms / 1000, 'one')
    watch.acknowledged(0.25, 'two')
    const round = ({ p50, p95, p99, ...rest }: { p50: number; p95: number; p99: number }) => ({
      ...rest,
      times: [p50, p95, p99].map(Math.round),
    })
    assert.deepEqual(watch.seen().confirmations.map(round), [
      { guard: 'one', count: 100, last: 5_000_000, times: [50, 95, 99] },
      { guard: 'two', count: 1, last: 5_000_000, times: [250, 250, 250] },
    ])
    for (let i = 0; i < 600; i++) watch.acknowledged(0.001, 'one')
    assert.equal(watch.seen().confirmations[0]?.p99, 1, 'old times have gone')
  })

  it('keeps the times of a hundred services, those heard last', () => {
    let now = 0
    const watch = createWatch(() => now++)
    for (let i = 0; i < 150; i++) watch.acknowledged(0.001, `guard ${i}`)
    const names = watch.seen().confirmations.map(({ guard }) => guard)
    assert.equal(names.length, 100)
    assert.ok(!names.includes('guard 0') && names.includes('guard 149'))
  })
})
