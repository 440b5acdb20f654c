import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { backoff } from './backoff.ts'
import { readRetryAfter } from './send.ts'

const HOUR = 3_600_000

describe('trying again', () => {
  it('waits longer each time, with jitter, and ends within a day', () => {
    for (const random of [0, 0.5, 1]) {
      const gaps: number[] = []
      for (let now = 0, attempts = 0; ; attempts++) {
        const next = backoff(attempts, now, 24 * HOUR, 0, random)
        if (next === undefined) break
        gaps.push(next - now)
        now = next
      }
      assert.ok(gaps.length >= 9 && gaps.length <= 12, `${gaps.length} attempts`)
      assert.ok(gaps.every((gap, index) => gap >= (gaps[index - 1] ?? 0)))
      assert.ok(gaps.every((gap) => gap <= 4.8 * HOUR))
    }
  })

  it('comes no earlier than it was asked to, in seconds or by a date', () => {
    assert.equal(backoff(0, 0, 24 * HOUR, HOUR), HOUR)
    assert.equal(backoff(0, 0, 24 * HOUR, 25 * HOUR), undefined)
    const now = Date.parse('Mon, 23 Nov 2026 10:00:00 GMT')
    assert.equal(readRetryAfter('120', now), 120_000)
    assert.equal(readRetryAfter('Mon, 23 Nov 2026 10:01:00 GMT', now), 60_000)
    for (const text of ['Mon, 23 Nov 2026 09:00:00 GMT', '-5', 'soon', '', '99999999999999']) {
      assert.equal(readRetryAfter(text, now), undefined, text)
    }
  })
})
