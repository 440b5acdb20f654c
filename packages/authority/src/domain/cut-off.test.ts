import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CutOff, covers, cutOffSecond, endedBy, laterSecond, tokensCutOff } from './cut-off.ts'
import { DEFAULT_POLICY } from './policy.ts'
import { decideRevocation } from './revocation.ts'
import type { Session } from './session.ts'

const S = 1_800_000_000
const AT = S * 1000
const cutOff = (before: number, changes: Partial<CutOff> = {}): CutOff => ({
  ...{ seq: 1, at: before, before, reason: 'admin_forced', ...changes },
})
const session = (refreshedAt: number, tokens: Session['tokens'] = [], clientId = 'app') =>
  ({ sid: 's', clientId, refreshedAt, tokens }) as unknown as Session
const order = (before: number, now: number, cutOffs: CutOff[] = [], clientId?: string) => {
  const by = { kind: 'issued-before' as const, before, ...(clientId ? { clientId } : {}) }
  const request = { by, reason: 'admin_forced' as const, actor: 'test' }
  return decideRevocation(new Map(), request, DEFAULT_POLICY, now, cutOffs)
}

describe('a cut-off', () => {
  it('ends the sessions that were refreshed before it; the first that did counts', () => {
    const both = [cutOff(AT, { seq: 1 }), cutOff(AT + 10, { seq: 2 })]
    assert.equal(endedBy(session(AT - 1), both)?.seq, 1)
    assert.equal(endedBy(session(AT), both)?.seq, 2)
    assert.equal(endedBy(session(AT + 10), both), undefined)
    assert.equal(endedBy(session(AT - 1), [cutOff(AT, { clientId: 'other' })]), undefined)
  })

  it('kills all tokens of a session that it ends, and the older ones of one that it does not', () => {
    const ttl = DEFAULT_POLICY.accessTokenTtl
    const tokens = [S - 1, S, S + 1].map((iat, idx) => ({ jti: `${idx}`, idx, exp: iat + ttl }))
    const dead = (refreshedAt: number, before: number) =>
      tokensCutOff(session(refreshedAt, tokens), [cutOff(before)], DEFAULT_POLICY, AT).map(({ idx }) => idx)
    assert.deepEqual(dead(AT - 1, AT), [0, 1, 2])
    assert.deepEqual(dead(AT, AT), [0])
    assert.deepEqual(dead(AT + 500, AT + 1), [0, 1], 'those of its second')
  })

  it('that another covers changes nothing', () => {
    assert.equal(covers(cutOff(AT), { before: AT }), true)
    assert.equal(covers(cutOff(AT), { before: AT, clientId: 'app' }), true)
    assert.equal(covers(cutOff(AT), { before: AT + 1 }), false)
    assert.equal(covers(cutOff(AT, { clientId: 'app' }), { before: AT }), false)
    assert.equal(covers(cutOff(AT, { clientId: 'app' }), { before: AT, clientId: 'other' }), false)
    assert.equal(order(AT - 1, AT, [cutOff(AT)]).kind, 'already')
    assert.equal(order(AT, AT, [cutOff(AT - 1)]).kind, 'revoked')
  })

  it('in the future is one of now', () => {
    const decision = order(AT + 60_000, AT)
    assert.ok(decision.kind === 'revoked')
    const [revocation] = decision.revocations
    assert.equal(revocation?.what === 'cut_off' && revocation.before, AT + 1)
  })

  it('that follows another within its second takes in the second that tokens are dated with between them', () => {
    const first = cutOff(AT + 100)
    assert.equal(cutOffSecond(first), S + 1)
    assert.equal(laterSecond([first], { before: AT + 200 }), S + 2)
    const second = cutOff(AT + 200, { second: S + 2 })
    assert.equal(laterSecond([first, second], { before: AT + 300 }), S + 3)
    assert.equal(
      laterSecond([first, second], { before: AT + 1_500 }),
      S + 3,
      'the next second is spoken for too',
    )
    assert.equal(laterSecond([first], { before: AT + 1_000 }), undefined)
    assert.equal(laterSecond([first], { before: AT + 50 }), undefined, 'one of before it')
    const own = cutOff(AT + 100, { clientId: 'app' })
    assert.equal(laterSecond([own], { before: AT + 200, clientId: 'other' }), undefined)
    assert.equal(laterSecond([own], { before: AT + 200 }), S + 2, 'everybody’s after a client’s')
    const decision = order(AT + 200, AT + 200, [first])
    assert.ok(decision.kind === 'revoked' && decision.revocations[0]?.what === 'cut_off')
    assert.equal(cutOffSecond(decision.revocations[0]), S + 2)
  })
})
