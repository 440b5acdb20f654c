import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { violations } from './check.ts'
import { latestAcceptance } from './check-endings.ts'
import type { Final } from './final.ts'
import type { Entry } from './history.ts'

/* The checker finds each kind of violation, and nothing in a history that is as it should be. */

let n = 0
/** One second apart, in the order in which they are written. */
function entry(what: Entry['what'], rest: Partial<Entry> = {}): Entry {
  n++
  const times = { start: n * 1_000, end: n * 1_000 + 100 }
  return { n, ...times, where: 'process 0', what, account: 'ann', sid: 's1', outcome: 'ok', ...rest }
}
const opened = (rest: Partial<Entry> = {}) => entry('sign-in', rest)
const session = (sid: string, ended?: { seq: number; reason: string }) => ({ sid, account: 'ann', ended })
const logout = (rest: Partial<Entry> = {}) =>
  entry('revoke-pair', {
    jti: 'j1',
    ended: [{ what: 'session', sid: 's1', seq: 1, reason: 'user_logout' }],
    ...rest,
  })
const LOGGED = { seq: 1, what: 'session', sid: 's1', reason: 'user_logout' }
const ENDED = session('s1', { seq: 1, reason: 'user_logout' })

function final(rest: Partial<Final> = {}): Final {
  const log = rest.log ?? [LOGGED]
  return {
    ...{ log, head: log.length, audited: log.map(({ seq }) => seq), sessions: [ENDED] },
    ...{ guards: [], clocksApart: [], notReady: [], ...rest },
  }
}
const quiet = (sessions = [session('s1')], rest: Partial<Final> = {}) => final({ log: [], sessions, ...rest })

function finds(rule: RegExp, entries: Entry[], end: Final) {
  const found = violations(entries, end).map((one) => one.rule)
  assert.ok(
    found.some((one) => rule.test(one)),
    `found ${JSON.stringify(found)}`,
  )
}
const fine = (entries: Entry[], end: Final) => assert.deepEqual(violations(entries, end), [])

describe('a history as it should be', () => {
  it('has nothing to say against it', () => {
    const history = [
      opened(),
      entry('refresh', { token: 'a', outcome: 'unknown' }),
      entry('refresh', { token: 'a', successor: 'b' }),
      entry('introspect', { jti: 'j1' }),
      logout(),
      entry('introspect', { jti: 'j1', outcome: 'refused' }),
      entry('check', { jti: 'j1' }),
      entry('refresh', {
        token: 'b',
        outcome: 'refused',
        code: 'revoked: its session has ended',
        last: true,
      }),
    ]
    fine(history, final({ guards: [{ guard: 'guard 0', heard: [1, 1], seq: 1 }] }))
    assert.equal(Math.round(latestAcceptance(history)), 1_900)
  })
  it('may have ended what was asked and not answered', () => {
    fine([opened(), logout({ outcome: 'unknown', ended: undefined })], final())
    fine([opened(), logout({ outcome: 'unknown', ended: undefined })], quiet())
  })
  it('may end what somebody else logged out, or what was used twice after its grace', () => {
    const removed = { seq: 1, reason: 'device_removed' }
    const others = entry('others', { sid: 's2', ended: [{ what: 'session', sid: 's1', ...removed }] })
    const end = { log: [{ ...LOGGED, ...removed }], sessions: [session('s1', removed), session('s2')] }
    fine([opened({ start: 0, end: 1 }), others], final(end))
    const reuse = { seq: 1, reason: 'token_reuse' }
    const late = entry('refresh', { token: 'a', outcome: 'refused', code: 'was used before', end: 1e9 })
    const entries = [opened(), entry('refresh', { token: 'a', successor: 'b' }), late]
    fine(entries, final({ log: [{ ...LOGGED, ...reuse }], sessions: [session('s1', reuse)] }))
  })
})

describe('the checker finds', () => {
  it('a revocation that was answered and is not there', () => {
    finds(/is not in the log as 1/, [opened(), logout()], quiet())
    finds(/said to be ended and is not/, [opened(), logout()], final({ sessions: [session('s1')] }))
    finds(/said to be ended and is not/, [opened(), entry('ticket')], quiet())
    finds(/opened is lost/, [opened()], quiet([]))
  })
  it('a session that a logout of all others has missed', () => {
    const history = [opened(), entry('others', { sid: 's2', ended: [] })]
    finds(/s1 was said to be ended and is not/, history, quiet([session('s1'), session('s2')]))
  })
  it('a dead token that an authority takes', () => {
    const dead = [opened(), logout()]
    finds(/process 1 took what was dead/, [...dead, entry('introspect', { where: 'process 1' })], final())
    finds(/took what was dead/, [...dead, entry('refresh', { token: 'a', successor: 'b' })], final())
    const alone = entry('revoke-access', { jti: 'j1' })
    finds(/took what was dead/, [opened(), alone, entry('introspect', { jti: 'j1' })], quiet())
    const told = entry('revoke-access', { jti: 'j1', outcome: 'refused', code: 'TOKEN_REVOKED' })
    finds(/took what was dead/, [opened(), told, entry('introspect', { jti: 'j1' })], quiet())
    const stopped = [opened(), entry('revoke-refresh'), entry('refresh', { token: 'a', successor: 'b' })]
    finds(/refreshed what was stopped/, stopped, quiet())
  })
  it('not one that was asked about before the answer', () => {
    const asked = { start: 0, end: 1e9 }
    fine([opened(), logout(), entry('introspect', asked), entry('check', asked)], final())
  })
  it('a dead token that a guard takes after its bound', () => {
    const dead = [opened(), logout()]
    const { end } = dead[1] as Entry
    fine([...dead, entry('check', { start: end + 6_900, end: end + 6_950 })], final())
    finds(/guard 1 took/, [...dead, entry('check', { where: 'guard 1', start: end + 7_100 })], final())
  })
  it('a session that ended without a reason', () => {
    finds(/user_logout, which nobody caused/, [opened()], final())
    const refused = logout({ outcome: 'refused', ended: undefined })
    finds(/user_logout, which nobody caused/, [opened(), refused], final())
    const reuse = { seq: 1, reason: 'token_reuse' }
    const end = final({ log: [{ ...LOGGED, ...reuse }], sessions: [session('s1', reuse)] })
    finds(/token_reuse, which nobody caused/, [opened(), entry('refresh', { token: 'a' })], end)
    const early = [entry('others', { sid: 's2' }), opened()]
    const removed = session('s1', { seq: 1, reason: 'device_removed' })
    const log = [{ ...LOGGED, reason: 'device_removed' }]
    finds(/device_removed, which nobody caused/, early, final({ log, sessions: [removed] }))
  })
  it('a session that nobody ended and that does not refresh', () => {
    const last = entry('refresh', { token: 'a', outcome: 'refused', code: 'revoked', last: true })
    finds(/never ended and does not refresh/, [opened(), last], quiet())
  })
  it('a token that lives and is refused at the end', () => {
    const got = entry('refresh', { token: 'a', successor: 'b', last: true })
    const refused = entry('introspect', { where: 'process 1', outcome: 'refused', last: true })
    finds(/process 1 does not take what lives/, [opened(), got, refused], quiet())
    fine([opened(), got, entry('check', { last: true })], quiet())
  })
  it('two successors, an answer that was not repeated, a token that is unknown', () => {
    const two = ['b', 'c'].map((successor) => entry('refresh', { token: 'a', successor }))
    finds(/two successors/, [opened(), ...two], quiet())
    const retried = [
      opened(),
      entry('refresh', { token: 'a', outcome: 'unknown' }),
      entry('refresh', { token: 'a', outcome: 'refused', code: 'was used before' }),
    ]
    finds(/not repeated within its grace/, retried, quiet())
    fine(retried, quiet(undefined, { clocksApart: [{ from: 0, to: 1e9 }] }))
    const unknown = entry('refresh', { token: 'a', outcome: 'refused', code: 'refresh token not found' })
    finds(/given is unknown/, [opened(), unknown], quiet())
  })
  it('a log with a gap, a missing or a second audit record, a chain that is not whole', () => {
    const log = [LOGGED, { ...LOGGED, seq: 3 }]
    finds(/goes on with 3 after 1/, [opened(), logout()], final({ log }))
    finds(/goes on with 2 after nothing/, [], final({ log: [{ ...LOGGED, seq: 2 }], sessions: [] }))
    finds(/its head is 2/, [opened(), logout()], final({ head: 2 }))
    finds(/1 has 0 audit records/, [opened(), logout()], final({ audited: [] }))
    finds(/1 has 2 audit records/, [opened(), logout()], final({ audited: [1, 1] }))
    finds(/has a revocation 2/, [opened(), logout()], final({ audited: [1, 2] }))
    finds(/chain is not whole: record 7/, [opened(), logout()], final({ chain: 'record 7' }))
  })
  it('a guard that hears out of order, or of what never was', () => {
    finds(/guard 0 heard 1 after 2/, [], final({ guards: [{ guard: 'guard 0', heard: [2, 1], seq: 1 }] }))
    finds(/knows 2, and the log ends/, [], final({ guards: [{ guard: 'guard 0', heard: [], seq: 2 }] }))
  })
  it('a request that does not end, and what does not get ready again', () => {
    finds(/did not end/, [opened(), entry('introspect', { outcome: 'hung' })], quiet())
    finds(/not ready again: guard 1/, [], quiet([], { notReady: ['guard 1'] }))
  })
})
