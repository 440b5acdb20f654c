import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createReplayCache } from './replay.ts'

const PROOF_LIFE = 125_000

describe('the memory of proofs', () => {
  it('takes each proof once, for as long as any proof is valid', () => {
    let time = 0
    const { first } = createReplayCache(() => time)
    // Wherever in a generation it is shown.
    for (let start = 0; start < 3 * PROOF_LIFE; start += 9_973) {
      time = start
      assert.ok(first('key', `p${start}`))
      for (const later of [0, 1, 60_000, 120_000]) {
        time = start + later
        assert.ok(!first('key', `p${start}`), `${start} + ${later}`)
      }
    }
  })

  it('does not take the proofs of two keys for one, nor those of one key for another', () => {
    const { first } = createReplayCache(() => 0)
    assert.ok(first('a', 'p1'))
    assert.ok(first('b', 'p1'))
    assert.ok(first('a', 'p2'))
    assert.deepEqual([first('a', 'p1'), first('b', 'p1')], [false, false])
  })

  it('refuses a key that makes proofs without end, and nobody else', () => {
    let time = 0
    const { first } = createReplayCache(() => time)
    let taken = 0
    for (let i = 0; i < 20_000; i++) if (first('greedy', `p${i}`)) taken++
    assert.equal(taken, 12_500)
    assert.ok(first('other', 'p1'))
    time = PROOF_LIFE - 1
    assert.ok(!first('greedy', 'p1'), 'what it has shown it has shown')
    time = 1.2 * PROOF_LIFE
    assert.ok(first('greedy', 'later'))
  })

  it('does not grow without end when many keys make many proofs; those that were seen stay seen', () => {
    let time = 0
    const { first } = createReplayCache(() => time)
    let taken = 0
    for (let i = 0; i < 110_000; i++) if (first(`key${i % 50}`, `p${i}`)) taken++
    assert.equal(taken, 100_000)
    assert.ok(!first('key0', 'p0'))
    assert.ok(first('quiet', 'p1'), 'who made few is not refused for those who made many')
    for (let i = 0; i < 200_000; i++) first(`other${i}`, 'p1')
    assert.ok(!first('one more', 'p1'), 'until there is no room at all')
    time = 1.2 * PROOF_LIFE
    assert.ok(first('key0', 'new'))
  })

  it('forgets after that, also when nobody came for long', () => {
    let time = 0
    const { first } = createReplayCache(() => time)
    assert.ok(first('key', 'p1'))
    time = 2 * PROOF_LIFE
    assert.ok(first('key', 'p1'))
    assert.ok(first('key', 'p2'))
    time = 10 * PROOF_LIFE
    assert.ok(first('key', 'p2'))
  })

  it('remembers when the clock is set back', () => {
    let time = 10 * PROOF_LIFE
    const { first } = createReplayCache(() => time)
    assert.ok(first('key', 'p1'))
    time = 0
    assert.ok(!first('key', 'p1'))
  })
})
