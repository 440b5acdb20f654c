import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCache } from './cache.ts'

describe('a cache of two generations', () => {
  it('never holds more than twice its size, however it is filled', () => {
    const cache = createCache<number>(10)
    let most = 0
    for (let i = 0; i < 1_000; i++) {
      cache.set(`k${i % 37}`, i)
      cache.get(`k${(i * 7) % 41}`)
      most = Math.max(most, cache.size)
    }
    assert.ok(most <= 20, `${most}`)
    for (let i = 0; i < 1_000; i++) cache.set(`other${i}`, i)
    assert.ok(cache.size <= 20)
  })

  it('keeps the entries that were used last', () => {
    const cache = createCache<number>(10)
    for (let i = 0; i < 100; i++) {
      cache.set(`k${i}`, i)
      for (let back = Math.max(0, i - 9); back <= i; back++) assert.equal(cache.get(`k${back}`), back)
    }
  })

  it('keeps what is asked for again and again while others come and go', () => {
    const cache = createCache<string>(10)
    cache.set('wanted', 'here')
    for (let i = 0; i < 1_000; i++) {
      cache.set(`k${i}`, 'x')
      if (i % 5 === 0) assert.equal(cache.get('wanted'), 'here', `${i}`)
    }
  })

  it('forgets what nobody asks for', () => {
    const cache = createCache<string>(2)
    cache.set('old', 'x')
    for (let i = 0; i < 4; i++) cache.set(`k${i}`, 'x')
    assert.equal(cache.get('old'), undefined)
  })

  it('gives the newest value of a key that is in both generations', () => {
    const cache = createCache<string>(2)
    cache.set('a', 'first')
    cache.set('b', 'x')
    cache.set('a', 'second')
    assert.equal(cache.get('a'), 'second')
    for (let i = 0; i < 2; i++) assert.equal(cache.get('a'), 'second')
  })

  it('lets go of what nobody has used for long, and of nothing that is used', async () => {
    const cache = createCache<string>(1_000, 40)
    cache.set('unused', 'x')
    cache.set('used', 'x')
    for (let n = 0; n < 12; n++) {
      await new Promise((resolve) => setTimeout(resolve, 15))
      cache.set(`k${n}`, 'x')
      assert.equal(cache.get('used'), 'x')
    }
    assert.equal(cache.get('unused'), undefined)
    assert.ok(cache.size < 12)
  })

  it('is empty after it was cleared', () => {
    const cache = createCache<string>(2)
    for (const key of ['a', 'b', 'c']) cache.set(key, key)
    cache.clear()
    assert.deepEqual([cache.size, cache.get('a'), cache.get('c')], [0, undefined, undefined])
    cache.set('a', 'again')
    assert.equal(cache.get('a'), 'again')
  })

  it('holds one entry where it is told to', () => {
    const cache = createCache<string>(1)
    for (const key of ['a', 'b', 'c']) cache.set(key, key)
    assert.deepEqual([cache.get('c'), cache.get('a')], ['c', undefined])
  })
})
