import type { RefreshRequest, Session } from '../domain/session.ts'

/* What the tests of every store open and refresh. */

/** When it happens, in ms. */
export const NOW = 1_800_000_000_000

let issued = 0

export function sessionNamed(sid: string): Session {
  return {
    sid,
    sub: 'alice',
    clientId: 'app',
    openedAt: NOW,
    authTime: NOW / 1000,
    scope: 'notes:read',
    resources: { r: 'notes:read' },
    resource: 'r',
    refresh: { generation: 1, hash: 'hash-1' },
    ticketHash: `ticket-${sid}`,
    tokens: [{ jti: `${sid}-first`, idx: 0, exp: NOW / 1000 + 600 }],
    refreshedAt: NOW,
  }
}

export function refreshOf(sid: string, generation: number): RefreshRequest {
  issued++
  return {
    sid,
    generation,
    hash: `hash-${generation}`,
    clientId: 'app',
    successor: { hash: `hash-${generation + 1}`, salt: `salt-${issued}` },
    token: { jti: `jti-${issued}`, idx: issued, exp: NOW / 1000 + 600 },
  }
}
