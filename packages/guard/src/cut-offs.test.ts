import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCutOffs } from './cut-offs.ts'

const AT = 1_800_000_000
const cutOff = (before: number, clientId?: string, at = before) => ({
  ...{ seq: before, at: at * 1000, before, reason: 'admin_forced' },
  ...(clientId === undefined ? {} : { clientId }),
})
const token = (iat: number, clientId = 'app') => ({ iat, clientId })

describe('cut-offs', () => {
  it('kill what was issued before, to the second, of everybody or of one client', () => {
    const cutOffs = createCutOffs()
    assert.equal(cutOffs.over(token(AT)), undefined)
    cutOffs.add(cutOff(AT, 'app'))
    assert.equal(cutOffs.over(token(AT - 1))?.before, AT)
    assert.equal(cutOffs.over(token(AT)), undefined, 'issued in that second or later')
    assert.equal(cutOffs.over(token(AT - 1, 'other')), undefined)
    cutOffs.add(cutOff(AT - 10))
    assert.equal(cutOffs.over(token(AT - 11, 'other'))?.before, AT - 10)
    assert.equal(cutOffs.over(token(AT - 10, 'other')), undefined)
    assert.equal(cutOffs.over(token(AT - 5))?.before, AT, 'the client’s own still holds')
  })

  it('say from when on a client’s tokens are alive', () => {
    const cutOffs = createCutOffs()
    assert.equal(cutOffs.aliveFrom('app'), 0)
    cutOffs.add(cutOff(AT))
    cutOffs.add(cutOff(AT + 5, 'app'))
    assert.deepEqual([cutOffs.aliveFrom('app'), cutOffs.aliveFrom('other')], [AT + 5, AT])
  })

  it('an older one brings nothing back to life', () => {
    const cutOffs = createCutOffs()
    cutOffs.add(cutOff(AT))
    cutOffs.add(cutOff(AT - 100, undefined, AT + 1))
    assert.equal(cutOffs.over(token(AT - 1))?.before, AT)
    assert.equal(cutOffs.aliveFrom('app'), AT)
  })

  it('are remembered for as long as any token lives, and then forgotten', () => {
    const cutOffs = createCutOffs()
    cutOffs.add(cutOff(AT, 'app'))
    cutOffs.add(cutOff(AT + 3_700, 'other'))
    assert.equal(cutOffs.aliveFrom('app'), AT, 'an hour and a bit later')
    cutOffs.add(cutOff(AT + 3_701, 'third'))
    assert.equal(cutOffs.aliveFrom('app'), 0)
    assert.equal(cutOffs.aliveFrom('other'), AT + 3_700)
  })

  it('too many are an error, never a reason to forget one', () => {
    const cutOffs = createCutOffs()
    for (let i = 0; i < 100_000; i++) cutOffs.add(cutOff(AT, `app ${i}`))
    assert.throws(() => cutOffs.add(cutOff(AT, 'one more')), RangeError)
    assert.equal(cutOffs.aliveFrom('app 0'), AT)
  })
})
