import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SessionEnding } from './protocol.ts'
import { LIST_SIZE, listUri } from './status.ts'
import { createRevocationView } from './view.ts'

const ISSUER = 'https://login.example'
const view = () => createRevocationView(ISSUER)

function record(seq: number, what: Partial<SessionEnding> = {}): SessionEnding {
  return { seq, at: 1, sid: 's1', reason: 'user_logout', tokens: [], ...what }
}
const token = (index: number, jti = `t${index}`, sid = 's1') => {
  const uri = listUri(ISSUER, Math.floor(index / LIST_SIZE))
  return { sid, jti, iat: 1_000, clientId: 'app', status: { idx: index % LIST_SIZE, uri } }
}

describe('the view of revocations', () => {
  it('says who is dead, by a bit, and why: a session with all its tokens, or one token', () => {
    const it = view()
    assert.deepEqual([it.dead(token(1)), it.reasonOf(token(1)), it.seq], [false, undefined, 0])
    it.apply(record(1, { jti: 't1', tokens: [1] }))
    assert.deepEqual([it.dead(token(1)), it.reasonOf(token(1))], [true, 'user_logout'])
    assert.deepEqual([it.dead(token(2)), it.reasonOf(token(2))], [false, undefined])
    it.apply(record(2, { reason: 'token_reuse', tokens: [1, 2, LIST_SIZE + 2] }))
    assert.deepEqual([it.dead(token(2)), it.dead(token(LIST_SIZE + 2))], [true, true])
    assert.equal(it.reasonOf(token(2)), 'token_reuse')
    assert.equal(it.dead(token(3)), false, 'other tokens live on')
    assert.equal(it.reasonOf(token(3, 't3', 's2')), undefined, 'other sessions live on')
    assert.equal(it.seq, 2)
  })

  it('takes duplicates and replays without harm', () => {
    const it = view()
    let heard = 0
    it.onApply(() => heard++)
    assert.equal(it.apply(record(5)), true)
    assert.equal(it.apply(record(5)), false)
    assert.equal(it.apply(record(3, { jti: 't1' })), true, 'a late one still counts')
    assert.equal(it.seq, 5)
    assert.equal(it.apply(record(9)), false)
    assert.deepEqual([heard, it.seq], [2, 9])
  })

  it('marks the tokens that a session’s second record names, though the session is known to have ended', () => {
    const it = view()
    it.apply(record(1, { tokens: [1] }))
    it.apply(record(2, { tokens: [2] }))
    assert.equal(it.dead(token(2)), true)
  })

  it('does not take the end of one token for the end of its session; the session’s reason wins', () => {
    const it = view()
    it.apply(record(1, { sid: 's1', jti: 't1' }))
    assert.equal(it.reasonOf({ ...token(3), jti: 't3' }), undefined)
    it.apply(record(3, { sid: 's1', reason: 'password_change' }))
    assert.equal(it.reasonOf(token(1)), 'password_change')
  })

  it('tells all listeners, even when one throws or leaves', () => {
    const it = view()
    const heard: string[] = []
    it.onApply(() => {
      throw new Error('mine')
    })
    const leave = it.onApply(() => heard.push('left'))
    it.onApply(({ seq }) => heard.push(`${seq}`))
    leave()
    it.apply(record(1))
    assert.deepEqual(heard, ['1'])
  })

  it('has the bit set by the time that listeners hear of it', () => {
    const it = view()
    let dead: boolean | undefined
    it.onApply(() => {
      dead = it.dead(token(7))
    })
    it.apply(record(1, { tokens: [7] }))
    assert.equal(dead, true)
  })

  it('forgets reasons after many thousands, never bits', () => {
    const it = view()
    for (let seq = 1; seq <= 30_000; seq++) it.apply(record(seq, { sid: `s${seq}`, tokens: [seq] }))
    assert.equal(it.reasonOf(token(30_000, 't', 's30000')), 'user_logout')
    assert.equal(it.reasonOf(token(20_001, 't', 's20001')), 'user_logout')
    assert.equal(it.reasonOf(token(1, 't', 's1')), undefined)
    for (let index = 1; index <= 30_000; index++) assert.ok(it.dead(token(index)))
  })

  it('does not know tokens without a place, or of another authority’s lists', () => {
    const it = view()
    it.apply(record(1, { tokens: [1] }))
    assert.equal(it.dead({ ...token(1), status: undefined }), false)
    assert.equal(
      it.dead({ ...token(1), status: { idx: 1, uri: 'https://evil.example/status-lists/0' } }),
      false,
    )
  })

  it('throws for a token of a list that can’t be held, rather than forget it', () => {
    const it = view()
    const tokens = Array.from({ length: 8_193 }, (_, list) => list * LIST_SIZE)
    assert.throws(() => it.apply(record(1, { tokens })), RangeError)
    assert.equal(it.seq, 0)
  })
})
