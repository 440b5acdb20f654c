import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { createHolds, type Holds, type TokenOfConnection } from './connections.ts'
import { GuardError } from './errors.ts'
import type { RevocationRecord } from './protocol.ts'
import { listUri } from './status.ts'
import { createRevocationView, type RevocationView } from './view.ts'

const ISSUER = 'https://login.example'
const EXP = 1_700_000_600
const GRACE = 30_000

let view: RevocationView
let holds: Holds
let time: number
let seq: number
let errors: unknown[]
let closed: string[]

const token = (index: number, what: Partial<TokenOfConnection> = {}): TokenOfConnection => ({
  ...{
    sid: 's1',
    jti: `t${index}`,
    clientId: 'app',
    iat: 0,
    exp: EXP,
    status: { idx: index, uri: listUri(ISSUER, 0) },
  },
  ...what,
})
const revoke = (what: Partial<RevocationRecord>) =>
  view.apply({ seq: ++seq, at: 1, sid: 's1', reason: 'user_logout', tokens: [], ...what })
/** Opens a connection that says when it is closed. */
const open = (name: string, of: TokenOfConnection) =>
  holds.add(of, (reason) => closed.push(`${name}: ${reason}`))

beforeEach(() => {
  view = createRevocationView(ISSUER)
  time = (EXP - 600) * 1000
  seq = 0
  errors = []
  closed = []
  holds = createHolds({ view, now: () => time, grace: GRACE, onError: (error) => errors.push(error) })
})

describe('the connections of a session', () => {
  it('close when it ends, each once, with the reason; others stay', () => {
    open('a', token(1))
    open('b', token(2))
    open('c', token(1))
    open('other', token(3, { sid: 's2' }))
    revoke({ reason: 'device_removed', tokens: [1, 2] })
    assert.deepEqual(closed, ['a: device_removed', 'b: device_removed', 'c: device_removed'])
    assert.equal(holds.size, 1)
    revoke({ reason: 'password_change' })
    assert.equal(closed.length, 3)
  })

  it('close when their token is revoked, and only they', () => {
    open('one', token(1))
    open('two', token(2))
    open('one, again', token(1))
    open('of the same name', token(1, { sid: 's2' }))
    revoke({ jti: 't1', tokens: [1] })
    assert.deepEqual(closed, ['one: user_logout', 'one, again: user_logout'])
    revoke({ reason: 'token_reuse', tokens: [2] })
    assert.deepEqual(closed.slice(2), ['two: token_reuse'])
    assert.equal(holds.size, 1)
  })

  it('close at once when they come after the end of their session, or of their token', () => {
    revoke({ jti: 't1', reason: 'admin_forced', tokens: [1] })
    const takeOff = open('late', token(1))
    assert.deepEqual(closed, ['late: admin_forced'])
    open('in time', token(2))
    revoke({ reason: 'session_timeout', tokens: [2] })
    open('too late', token(2))
    open('too late as well', token(3))
    assert.deepEqual(closed.slice(1), [
      ...['in time: session_timeout', 'too late: session_timeout', 'too late as well: session_timeout'],
    ])
    assert.equal(holds.size, 0)
    takeOff()
  })

  it('close at once when only the bit says so: why, nobody knows', () => {
    view.bits.mark(1)
    open('late', token(1))
    assert.deepEqual([closed, holds.size], [['late: revoked'], 0])
  })

  it('all close, whatever some of them throw', async () => {
    const thrown = new Error('mine')
    holds.add(token(1), () => {
      throw thrown
    })
    holds.add(token(1), async () => {
      throw thrown
    })
    holds.add(token(1), () => Promise.reject(thrown))
    open('last', token(1))
    revoke({})
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([closed, holds.size], [['last: user_logout'], 0])
    assert.deepEqual(errors, [thrown, thrown, thrown])
  })

  it('all close where nobody hears of errors', async () => {
    holds = createHolds({ view, now: () => time, grace: GRACE })
    holds.add(token(1), () => Promise.reject(new Error('mine')))
    holds.add(token(1), () => {
      throw new Error('mine')
    })
    open('last', token(1))
    revoke({})
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(closed, ['last: user_logout'])
  })

  it('may take each other off, or open new ones, while they close', () => {
    let takeOff = () => {}
    holds.add(token(1), () => takeOff())
    takeOff = open('taken off', token(2))
    holds.add(token(3), () => open('new', token(3)))
    revoke({})
    assert.equal(holds.size, 0)
    assert.ok(closed.includes('new: user_logout'))
    assert.ok(closed.length <= 2)
  })

  it('are not closed after they were taken off; twice does no harm', () => {
    const takeOff = open('gone', token(1))
    open('there', token(1))
    takeOff()
    takeOff()
    assert.equal(holds.size, 1)
    revoke({})
    takeOff()
    assert.deepEqual([closed, holds.size], [['there: user_logout'], 0])
  })

  it('are two when one function closes both', () => {
    const close = (reason: string) => closed.push(reason)
    const takeOff = holds.add(token(1), close)
    holds.add(token(1), close)
    assert.equal(holds.size, 2)
    takeOff()
    assert.equal(holds.size, 1)
    revoke({})
    assert.equal(closed.length, 1)
  })
})

describe('connections that outlive their token', () => {
  it('close when the grace is over, no sooner', () => {
    open('a', token(1))
    for (const at of [0, EXP * 1000, EXP * 1000 + GRACE - 1]) {
      time = at
      holds.sweep()
      assert.deepEqual(closed, [])
    }
    time = EXP * 1000 + GRACE
    holds.sweep()
    assert.deepEqual([closed, holds.size], [['a: token_expired'], 0])
    holds.sweep()
    assert.equal(closed.length, 1)
  })

  it('live on with a newer token of their session, and die with that', () => {
    open('a', token(1))
    holds.see(token(2, { exp: EXP + 300 }))
    time = EXP * 1000 + GRACE + 200_000
    holds.sweep()
    assert.deepEqual(closed, [])
    time = (EXP + 300) * 1000 + GRACE
    holds.sweep()
    assert.deepEqual(closed, ['a: token_expired'])
  })

  it('do not live on with an older one, or one of another session', () => {
    open('a', token(1))
    holds.see(token(2, { exp: EXP - 300 }))
    holds.see(token(3, { sid: 's2', exp: EXP + 300 }))
    time = EXP * 1000 + GRACE
    holds.sweep()
    assert.deepEqual(closed, ['a: token_expired'])
  })

  it('do not live on with a newer one that is revoked alone', () => {
    open('a', token(1))
    holds.see(token(2, { exp: EXP + 300 }))
    revoke({ jti: 't2', tokens: [2] })
    time = EXP * 1000 + GRACE
    holds.sweep()
    assert.deepEqual(closed, ['a: token_expired'])
  })

  it('still end with their session within the grace, though the token is long forgotten elsewhere', () => {
    holds = createHolds({ view, now: () => time, grace: 24 * 3_600_000 })
    open('a', token(1))
    time = (EXP + 3_600) * 1000
    holds.sweep()
    assert.equal(holds.size, 1)
    revoke({ reason: 'account_compromise' })
    assert.deepEqual(closed, ['a: account_compromise'])
  })

  it('close with the first sweep when they are opened too late', () => {
    time = EXP * 1000 + GRACE + 1
    open('late', token(1))
    holds.sweep()
    assert.deepEqual(closed, ['late: token_expired'])
  })

  it('do not keep others from closing by throwing', () => {
    holds.add(token(1), () => {
      throw new Error('mine')
    })
    open('a', token(1))
    open('b', token(2, { sid: 's2' }))
    time = EXP * 1000 + GRACE
    holds.sweep()
    assert.deepEqual([closed.sort(), errors.length], [['a: token_expired', 'b: token_expired'], 1])
  })
})

describe('connections, after the status lists were read anew', () => {
  it('close when all live tokens of their session are revoked: it has ended', () => {
    open('a', token(1))
    open('b', token(2))
    holds.see(token(3))
    for (const index of [1, 2, 3]) view.bits.mark(index)
    holds.recheck()
    assert.deepEqual([closed.sort(), holds.size], [['a: revoked', 'b: revoked'], 0])
  })

  it('close when their token is, but not those of the session’s others', () => {
    open('a', token(1))
    open('b', token(2))
    open('other', token(4, { sid: 's2' }))
    view.bits.mark(1)
    holds.recheck()
    holds.recheck()
    assert.deepEqual([closed, holds.size], [['a: revoked'], 2])
  })

  it('do not close for a token that had expired before', () => {
    open('a', token(1))
    holds.see(token(2, { exp: EXP + 300 }))
    view.bits.mark(1)
    time = (EXP + 1) * 1000
    holds.recheck()
    assert.deepEqual(closed, [])
    view.bits.mark(2)
    holds.recheck()
    assert.deepEqual(closed, ['a: revoked'], 'the session has no live token left')
  })

  it('close when all their tokens expired meanwhile and the newest one had been revoked', () => {
    open('a', token(1))
    open('b', token(2, { sid: 's2' }))
    view.bits.mark(1)
    time = (EXP + 1) * 1000
    holds.recheck()
    assert.deepEqual(closed, ['a: revoked'])
  })

  it('stay when nothing died', () => {
    open('a', token(1))
    holds.recheck()
    assert.deepEqual([closed, holds.size], [[], 1])
  })
})

describe('the signal of a token', () => {
  it('aborts with the token, or with the session, with the reason', () => {
    const [one, two, other] = [token(1), token(2), token(3, { sid: 's2' })].map((of) => holds.signal(of))
    assert.equal(holds.signal(token(1)), one, 'one signal for one token')
    revoke({ jti: 't1', tokens: [1] })
    assert.deepEqual([one?.aborted, two?.aborted, other?.aborted], [true, false, false])
    revoke({ reason: 'password_change' })
    assert.deepEqual([two?.aborted, other?.aborted], [true, false])
    assert.ok(two?.reason instanceof GuardError)
    assert.deepEqual(
      [two.reason.code, two.reason.status, two.reason.reason],
      ['AUTHENTICATION_FAILED', 401, 'password_change'],
    )
  })

  it('is aborted already for a token that is dead, by record or by bit', () => {
    view.bits.mark(1)
    assert.equal(holds.signal(token(1)).reason.reason, 'revoked')
    revoke({ sid: 's2' })
    assert.equal(holds.signal(token(2, { sid: 's2' })).reason.reason, 'user_logout')
  })

  it('aborts when the lists that were read anew say so', () => {
    const signals = [holds.signal(token(1)), holds.signal(token(2))]
    view.bits.mark(1)
    holds.recheck()
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, false],
    )
  })

  it('is forgotten a minute after its token expired, and no sooner', () => {
    const signal = holds.signal(token(1))
    time = (EXP + 60) * 1000 - 1
    holds.sweep()
    assert.equal(holds.signal(token(1)), signal)
    time += 1
    holds.sweep()
    assert.notEqual(holds.signal(token(1)), signal)
  })

  it('is kept while somebody listens: a stream that outlives its token ends with its session', () => {
    const signal = holds.signal(token(1))
    let ended = 0
    signal.addEventListener('abort', () => ended++)
    const left = holds.signal(token(2, { sid: 's2' }))
    const listener = () => ended++
    left.addEventListener('abort', listener)
    left.removeEventListener('abort', listener)
    time = (EXP + 600) * 1000
    holds.sweep()
    assert.notEqual(holds.signal(token(2, { sid: 's2' })), left)
    revoke({})
    assert.equal(ended, 1)
  })
})
