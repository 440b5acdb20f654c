import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { describe, it } from 'node:test'
import { networkOf } from './domain/network.ts'
import { RescindError } from './errors.ts'
import { addressOf } from './http/address.ts'
import { createBudget, createLimits } from './limits.ts'

describe('a budget', () => {
  it('gives a burst, then one for each refill, to each key for itself', () => {
    let at = 1_000_000
    const budget = createBudget(3, 1_000, () => at)
    for (let i = 0; i < 3; i++) budget.spend('a')
    assert.throws(
      () => budget.spend('a'),
      (error: RescindError) => error.code === 'RATE_LIMITED' && error.retryAfter === 1,
    )
    budget.spend('b')
    at += 1_000
    budget.check('a')
    budget.spend('a')
    assert.throws(() => budget.check('a'))
    budget.refund('a')
    budget.spend('a')
    at += 3_600_000
    for (let i = 0; i < 3; i++) budget.spend('a')
    assert.throws(() => budget.spend('a'), 'an hour saves up no more than the burst')
  })

  it('goes on from what is left when the clock is set right, forth or back', () => {
    for (const by of [600_000, -600_000]) {
      let at = 1_000_000
      const budget = createBudget(3, 1_000, () => at)
      at += by
      budget.spend('a')
      budget.spend('a')
      at -= by
      budget.spend('a')
      for (let i = 0; i < 3; i++) {
        at += 1_000
        budget.spend('a')
      }
    }
    let at = 1_000_000
    const budget = createBudget(3, 1_000, () => at)
    for (let i = 0; i < 3; i++) budget.spend('a')
    at -= 600_000
    assert.throws(() => budget.spend('a'), 'it is as empty as before')
  })

  it('forgets the keys that were used longest ago rather than grow', () => {
    const budget = createBudget(1, 60_000, () => 0)
    for (let i = 0; i < 100_001; i++) budget.spend(`key ${i}`)
    budget.spend('key 0')
    assert.throws(() => budget.spend('key 100000'))
  })

  it('counts an IPv6 subscriber once', () => {
    assert.equal(networkOf('203.0.113.7'), '203.0.113.7')
    assert.equal(networkOf('2001:db8:1:2:3:4:5:6'), networkOf('2001:db8:1:2::9'))
    assert.equal(networkOf('2001:0db8:0001:0002::1'), networkOf('2001:DB8:1:2:ffff::'))
    assert.notEqual(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:3::1'))
    assert.equal(networkOf('::1'), networkOf('0:0:0:0:0:0:0:1'))
    const { badRevocation } = createLimits(() => 0)
    assert.throws(() => {
      for (let i = 0; i < 100; i++) badRevocation.spend(`2001:db8::${i}`)
    }, RescindError)
  })
})

describe('where a request comes from', () => {
  const request = (forwarded?: string) =>
    ({
      headers: { 'x-forwarded-for': forwarded },
      socket: { remoteAddress: '::ffff:10.0.0.1' },
    }) as unknown as IncomingMessage

  it('is the socket’s, whatever the request claims', () => {
    assert.equal(addressOf(request('1.2.3.4'), false), '10.0.0.1')
  })
  it('is what a trusted proxy added, not what came before it', () => {
    assert.equal(addressOf(request('6.6.6.6, 1.2.3.4'), true), '1.2.3.4')
    assert.equal(addressOf(request(), true), '10.0.0.1')
  })
})
