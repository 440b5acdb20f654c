import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GuardError } from './errors.ts'
import { createRevocationView, type RevocationRecord } from './view.ts'

const NOW = 1_700_000_000_000
const EXP = NOW / 1000 + 600
const LONG_AFTER = (EXP + 61) * 1000

function record(seq: number, what: Partial<RevocationRecord> = {}): RevocationRecord {
  return { seq, at: NOW, sid: 's1', exp: EXP, reason: 'user_logout', ...what }
}
const token = (jti: string, sid = 's1', exp = EXP) => ({ sid, jti, exp })

describe('the view of revocations', () => {
  it('says who is dead, and why: a session with all its tokens, or one token', () => {
    const view = createRevocationView()
    assert.equal(view.dead(token('t1')), undefined)
    view.apply(record(1, { jti: 't1' }))
    assert.deepEqual(view.dead(token('t1')), { seq: 1, at: NOW, reason: 'user_logout' })
    assert.equal(view.dead(token('t2')), undefined)
    view.apply(record(2, { reason: 'token_reuse' }))
    assert.equal(view.dead(token('t2'))?.reason, 'token_reuse')
    assert.equal(view.dead(token('t3', 's2')), undefined, 'other sessions live on')
    assert.deepEqual([view.seq, view.size], [2, 2])
  })

  it('takes duplicates and replays without harm', () => {
    const view = createRevocationView()
    let heard = 0
    view.onApply(() => heard++)
    assert.equal(view.apply(record(5)), true)
    assert.equal(view.apply(record(5)), false)
    assert.equal(view.apply(record(3, { jti: 't1' })), true, 'a late one still counts')
    assert.equal(view.seq, 5)
    assert.equal(view.apply(record(9)), false)
    assert.deepEqual([heard, view.size, view.seq], [2, 2, 9])
  })

  it('aborts the signals of a token that dies, and of a session that ends, with the reason', () => {
    const view = createRevocationView()
    const [one, two, other] = [token('t1'), token('t2'), token('t3', 's2')].map((it) => view.signal(it))
    assert.equal(view.signal(token('t1')), one, 'one signal for one token')
    view.apply(record(1, { jti: 't1' }))
    assert.deepEqual([one?.aborted, two?.aborted, other?.aborted], [true, false, false])
    view.apply(record(2, { reason: 'password_change' }))
    assert.deepEqual([two?.aborted, other?.aborted], [true, false])
    assert.ok(two?.reason instanceof GuardError)
    assert.deepEqual(
      [two.reason.code, two.reason.status, two.reason.reason],
      ['AUTHENTICATION_FAILED', 401, 'password_change'],
    )
  })

  it('gives a dead token a signal that is aborted already', () => {
    const view = createRevocationView()
    view.apply(record(1))
    assert.equal(view.signal(token('t1')).reason.reason, 'user_logout')
  })

  it('tells all listeners, even when one throws or leaves', () => {
    const view = createRevocationView()
    const heard: string[] = []
    view.onApply(() => {
      throw new Error('mine')
    })
    const leave = view.onApply(() => heard.push('left'))
    view.onApply(({ seq }) => heard.push(`${seq}`))
    leave()
    view.apply(record(1))
    assert.deepEqual(heard, ['1'])
  })

  it('forgets a record 60 s after the last token that it killed, no sooner', () => {
    const view = createRevocationView()
    view.apply(record(1))
    view.apply(record(2, { jti: 't9', sid: 's9' }))
    view.sweep((EXP + 60) * 1000)
    assert.equal(view.size, 2)
    view.sweep(LONG_AFTER)
    assert.deepEqual([view.size, view.seq], [0, 2])
  })

  it('forgets the signals of expired tokens, one by one, while their session goes on', () => {
    const view = createRevocationView()
    const old = view.signal(token('t1'))
    const young = view.signal(token('t2', 's1', EXP + 600))
    view.sweep((EXP + 60) * 1000)
    assert.equal(view.signal(token('t1')), old)
    view.sweep(LONG_AFTER)
    assert.notEqual(view.signal(token('t1')), old)
    assert.equal(view.signal(token('t2', 's1', EXP + 600)), young)
  })

  it('keeps a signal that somebody listens to: a stream that outlives its token ends with its session', () => {
    const view = createRevocationView()
    const signal = view.signal(token('t1'))
    let ended = 0
    const listener = () => ended++
    signal.addEventListener('abort', listener)
    view.sweep(LONG_AFTER)
    view.apply(record(1, { exp: EXP + 600 }))
    assert.equal(ended, 1)

    const next = view.signal(token('t2', 's2'))
    next.addEventListener('abort', listener)
    next.removeEventListener('abort', listener)
    view.sweep(LONG_AFTER)
    assert.notEqual(view.signal(token('t2', 's2')), next)
  })
})
