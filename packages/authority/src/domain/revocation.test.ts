import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DEFAULT_POLICY, type Policy } from './policy.ts'
import { decideRevocation, type RevocationDecision, type RevocationRequest } from './revocation.ts'
import type { Session } from './session.ts'

const NOW = 1_800_000_000_000
const LATER = NOW / 1000 + 600
const PAST = NOW / 1000 - 60

type AccessState = 'live' | 'expired' | 'revoked'
type RefreshState = 'absent' | 'live' | 'used' | 'foreign'

function session(sid: string, access: AccessState, changes: Partial<Session> = {}): Session {
  const exp = access === 'expired' ? PAST : LATER
  const token = {
    jti: `${sid}-jti`,
    idx: 1,
    exp,
    ...(access === 'revoked' ? { revoked: true as const } : {}),
  }
  return {
    sid,
    sub: 'alice',
    clientId: 'app',
    openedAt: NOW - 60_000,
    authTime: NOW / 1000 - 60,
    scope: 'openid',
    resources: { r: 'openid' },
    resource: 'r',
    refresh: { generation: 2, hash: 'live', previous: { hash: 'used', salt: 'salt', at: NOW - 60_000 } },
    ticketHash: 'ticket',
    tokens: [token],
    refreshedAt: NOW - 60_000,
    ...changes,
  }
}

function accessOf(s: Session) {
  return {
    sid: s.sid,
    jti: `${s.sid}-jti`,
    exp: s.tokens[0]?.exp ?? LATER,
    sub: 'alice',
    clientId: 'app',
    idx: 1,
  }
}

function refreshOf(s: Session, state: RefreshState) {
  if (state === 'absent') return undefined
  if (state === 'foreign') return { sid: 'nobody', generation: 1, hash: 'forged' }
  return { sid: s.sid, generation: state === 'live' ? 2 : 1, hash: state }
}

function decide(
  sessions: Session[],
  by: RevocationRequest['by'],
  policy: Policy = DEFAULT_POLICY,
): RevocationDecision {
  const known = new Map(sessions.map((one) => [one.sid, one]))
  return decideRevocation(known, { by, reason: 'user_logout', actor: 'test' }, policy, NOW)
}

function outcomeOf(decision: RevocationDecision): string {
  if (decision.kind !== 'revoked') return decision.kind
  const killed =
    decision.revocations
      .map((one) => `${one.what} of ${one.what === 'cut_off' ? 'all' : one.sid}`)
      .join(', ') || 'nothing'
  return `${killed}; ${decision.signedOut ? 'signed out' : 'signed in'}`
}

describe('the contract table, of one session', () => {
  const table: Record<AccessState, Record<RefreshState, string>> = {
    live: {
      absent: 'access_token of s; signed in',
      live: 'session of s; signed out',
      used: 'session of s; signed out',
      foreign: 'unknown',
    },
    expired: {
      absent: 'nothing; signed in',
      live: 'session of s; signed out',
      used: 'session of s; signed out',
      foreign: 'unknown',
    },
    revoked: { absent: 'already', live: 'session of s; signed out', used: 'already', foreign: 'unknown' },
  }
  for (const [access, row] of Object.entries(table) as [AccessState, Record<RefreshState, string>][]) {
    for (const [refresh, expected] of Object.entries(row) as [RefreshState, string][]) {
      it(`access ${access}, refresh ${refresh}: ${expected}`, () => {
        const s = session('s', access)
        const decision = decide([s], { kind: 'pair', access: accessOf(s), refresh: refreshOf(s, refresh) })
        assert.equal(outcomeOf(decision), expected)
      })
    }
  }

  it('an ended session is already revoked, whichever of its tokens are shown', () => {
    const s = session('s', 'live', { ended: { seq: 1, at: NOW, reason: 'user_logout' }, refresh: undefined })
    assert.equal(outcomeOf(decide([s], { kind: 'pair', access: accessOf(s) })), 'already')
    const refresh = refreshOf(s, 'live')
    assert.equal(outcomeOf(decide([s], { kind: 'pair', access: accessOf(s), refresh })), 'already')
  })

  it('the last live credential of a session takes the session with it', () => {
    const s = session('s', 'live', { refresh: undefined })
    assert.equal(outcomeOf(decide([s], { kind: 'pair', access: accessOf(s) })), 'session of s; signed out')
    const two = { ...s, tokens: [...s.tokens, { jti: 'another', idx: 2, exp: LATER }] }
    assert.equal(
      outcomeOf(decide([two], { kind: 'pair', access: accessOf(s) })),
      'access_token of s; signed in',
    )
  })

  it('a token that a slow clock may still accept is not treated as expired', () => {
    const s = session('s', 'live', { tokens: [{ jti: 's-jti', idx: 1, exp: NOW / 1000 - 3 }] })
    assert.equal(
      outcomeOf(decide([s], { kind: 'pair', access: accessOf(s) })),
      'access_token of s; signed in',
    )
  })

  it('a genuine token of a session that the store does not know is revoked all the same', () => {
    const s = session('s', 'live')
    assert.equal(
      outcomeOf(decide([], { kind: 'pair', access: accessOf(s) })),
      'access_token of s; signed out',
    )
  })
})

describe('tokens of two sessions', () => {
  const a = session('a', 'live')
  const b = session('b', 'live')
  it('both are revoked and both sessions end', () => {
    const decision = decide([a, b], { kind: 'pair', access: accessOf(a), refresh: refreshOf(b, 'live') })
    assert.equal(outcomeOf(decision), 'session of a, session of b; signed out')
  })
  it('an ended one of them is left as it ended', () => {
    const ended = session('a', 'live', {
      ended: { seq: 1, at: NOW, reason: 'user_logout' },
      refresh: undefined,
    })
    const decision = decide([ended, b], {
      kind: 'pair',
      access: accessOf(ended),
      refresh: refreshOf(b, 'live'),
    })
    assert.equal(outcomeOf(decision), 'session of b; signed out')
  })
})

describe('a revocation', () => {
  it('names every access token that dies, so that each status bit can be set', () => {
    const tokens = [
      { jti: 's-jti', idx: 1, exp: LATER },
      { jti: 'second', idx: 2, exp: LATER },
      { jti: 'dead', idx: 3, exp: LATER, revoked: true as const },
      { jti: 'expired', idx: 4, exp: PAST },
    ]
    const decision = decide([session('s', 'live', { tokens })], { kind: 'session', sid: 's' })
    assert.ok(decision.kind === 'revoked')
    const [ended] = decision.revocations
    assert.deepEqual(ended?.what === 'session' && ended.tokens.map((token) => token.idx), [1, 2])
    assert.equal(decision.sessions[0]?.refresh, undefined)
    assert.equal(decision.sessions[0]?.ended?.reason, 'user_logout')
  })

  it('of a refresh token stops refreshing and leaves the access token to its expiry', () => {
    const s = session('s', 'live')
    for (const state of ['live', 'used'] as const) {
      const refresh = refreshOf(s, state)
      assert.ok(refresh)
      const decision = decide([s], { kind: 'refresh', refresh, clientId: 'app' })
      assert.equal(outcomeOf(decision), 'refresh_token of s; signed in')
    }
  })

  it('of a refresh token ends the session where the deployment wants that, or nothing else is live', () => {
    const refresh = { sid: 's', generation: 2, hash: 'live' }
    const cascading: Policy = { ...DEFAULT_POLICY, cascade: 'session' }
    const by = { kind: 'refresh' as const, refresh, clientId: 'app' }
    assert.equal(outcomeOf(decide([session('s', 'live')], by, cascading)), 'session of s; signed out')
    assert.equal(outcomeOf(decide([session('s', 'expired')], by)), 'session of s; signed out')
  })

  it('refuses another client’s token and an unknown ticket', () => {
    const s = session('s', 'live')
    const refresh = { sid: 's', generation: 2, hash: 'live' }
    assert.equal(outcomeOf(decide([s], { kind: 'refresh', refresh, clientId: 'other' })), 'refused')
    assert.equal(
      outcomeOf(decide([s], { kind: 'access', access: accessOf(s), clientId: 'other' })),
      'refused',
    )
    assert.equal(
      outcomeOf(decide([s], { kind: 'ticket', sid: 's', hash: 'ticket', clientId: 'other' })),
      'refused',
    )
    assert.equal(outcomeOf(decide([s], { kind: 'ticket', sid: 's', hash: 'forged' })), 'unknown')
    assert.equal(
      outcomeOf(decide([s], { kind: 'ticket', sid: 's', hash: 'ticket' })),
      'session of s; signed out',
    )
  })
})
