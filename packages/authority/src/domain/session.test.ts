import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DEFAULT_POLICY } from './policy.ts'
import { decideRefresh, type RefreshRequest, type Session, scopeFor } from './session.ts'

const NOW = 1_800_000_000_000

function session(changes: Partial<Session> = {}): Session {
  return {
    sid: 's1',
    sub: 'alice',
    clientId: 'app',
    openedAt: NOW,
    authTime: NOW / 1000,
    scope: 'openid notes:read notes:write',
    resources: { 'https://api.example': 'openid notes:read', 'https://other.example': 'notes:write' },
    resource: 'https://api.example',
    refresh: { generation: 1, hash: 'hash-1' },
    ticketHash: 'ticket',
    tokens: [],
    refreshedAt: NOW,
    ...changes,
  }
}

function request(generation: number, changes: Partial<RefreshRequest> = {}): RefreshRequest {
  return {
    sid: 's1',
    generation,
    hash: `hash-${generation}`,
    clientId: 'app',
    successor: { hash: `hash-${generation + 1}`, salt: `salt-${generation}` },
    token: { jti: `jti-${generation}`, idx: generation, exp: NOW / 1000 + 600 },
    ...changes,
  }
}

const decide = (s: Session | undefined, r: RefreshRequest, now = NOW) =>
  decideRefresh(s, r, DEFAULT_POLICY, now)

function rotated(s: Session, r: RefreshRequest, now = NOW): Session {
  const decision = decide(s, r, now)
  assert.equal(decision.kind, 'rotated')
  return (decision as Extract<typeof decision, { kind: 'rotated' }>).session
}

describe('a refresh', () => {
  it('rotates: the presented token is used up, its successor is live', () => {
    const after = rotated(session(), request(1))
    assert.deepEqual(after.refresh, {
      generation: 2,
      hash: 'hash-2',
      previous: { hash: 'hash-1', salt: 'salt-1', at: NOW },
    })
    assert.deepEqual(
      after.tokens.map((token) => token.jti),
      ['jti-1'],
    )
  })

  it('gives the same successor again within the grace window, and keeps the window where it was', () => {
    const after = rotated(session(), request(1))
    const again = decide(after, request(1, { successor: { hash: 'another', salt: 'another' } }), NOW + 10_000)
    assert.equal(again.kind, 'repeated')
    assert.ok(again.kind === 'repeated' && again.salt === 'salt-1')
    assert.deepEqual(again.kind === 'repeated' && again.session.refresh, after.refresh)
  })

  it('ends the session when a used token comes back after the window', () => {
    const after = rotated(session(), request(1))
    assert.equal(decide(after, request(1), NOW + 10_001).kind, 'reused')
  })

  it('ends the session when a used token comes back after its successor was used', () => {
    const twice = rotated(rotated(session(), request(1)), request(2))
    assert.equal(decide(twice, request(1), NOW + 1).kind, 'reused')
  })

  it('refuses what it never issued, without touching anything', () => {
    const refusals: [string, ReturnType<typeof decide>][] = [
      ['unknown', decide(undefined, request(1))],
      ['unknown', decide(session(), request(1, { hash: 'forged' }))],
      ['unknown', decide(session(), request(5))],
      ['client', decide(session(), request(1, { clientId: 'another app' }))],
      ['dpop', decide(session({ jkt: 'key' }), request(1))],
      ['dpop', decide(session({ jkt: 'key' }), request(1, { jkt: 'another key' }))],
      ['ended', decide(session({ ended: { seq: 1, at: NOW, reason: 'user_logout' } }), request(1))],
      ['revoked', decide(session({ refresh: undefined }), request(1))],
      ['scope', decide(session(), request(1, { scope: 'openid admin' }))],
      ['resource', decide(session(), request(1, { resource: 'https://unknown.example' }))],
    ]
    for (const [why, decision] of refusals) assert.deepEqual(decision, { kind: 'refused', why })
  })

  it('refuses an idle session and one that has lived its full time', () => {
    const { sessionIdle, sessionAbsolute } = DEFAULT_POLICY
    assert.equal(decide(session(), request(1), NOW + sessionIdle - 1).kind, 'rotated')
    assert.deepEqual(decide(session(), request(1), NOW + sessionIdle), { kind: 'refused', why: 'expired' })
    const busy = session({ refreshedAt: NOW + sessionAbsolute - 1 })
    assert.deepEqual(decide(busy, request(1), NOW + sessionAbsolute), { kind: 'refused', why: 'expired' })
  })

  it('bounds the live access tokens of a session, and forgets the expired ones', () => {
    const exp = NOW / 1000 + 600
    const tokens = Array.from({ length: 64 }, (_, idx) => ({ jti: `t${idx}`, idx, exp }))
    assert.deepEqual(decide(session({ tokens }), request(1)), { kind: 'refused', why: 'busy' })
    const later = rotated(session({ tokens }), request(1), NOW + 700_000)
    assert.equal(later.tokens.length, 1)
  })
})

describe('the scope of a token', () => {
  it('is what its resource was granted, narrowed by what was asked', () => {
    assert.equal(scopeFor(session(), 'https://api.example'), 'openid notes:read')
    assert.equal(scopeFor(session(), 'https://api.example', 'notes:read notes:write'), 'notes:read')
    assert.equal(scopeFor(session(), 'https://unknown.example'), '')
  })
})
