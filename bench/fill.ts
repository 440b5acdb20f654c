import { randomBytes } from 'node:crypto'
import type { JWK } from 'jose'
import type { Config } from '../packages/authority/src/config.ts'
import { hashSecret, logoutTicket, newSid, refreshToken } from '../packages/authority/src/domain/secret.ts'
import type { Session } from '../packages/authority/src/domain/session.ts'
import { createIndexes, type Indexes } from '../packages/authority/src/feed/indexes.ts'
import { type KeyRing, openKeyRing } from '../packages/authority/src/keys/ring.ts'
import { accessTokenClaims, signAccessToken } from '../packages/authority/src/oauth/access-token.ts'
import { PASSWORD_ACR } from '../packages/authority/src/oauth/acr.ts'
import { openData } from '../packages/authority/src/open-data.ts'
import type { Store } from '../packages/authority/src/store/store.ts'

/*
 * For benchmarks only: brings a store to where an authority would have brought it after a million sign-ins, without
 * the million people. It goes through the store's own interface and the authority's own functions: indexes are reserved
 * as for any token, sessions are opened in the transaction that a code exchange uses (oauth/exchange.ts), tokens are
 * signed by the authority's own ring, and revocations are the ones that a logout commits. What is left out: the records
 * of the sign-in pages, and the sessions of tokens that no one is going to show again: only their indexes were issued.
 */

export type Amounts = {
  /** Access tokens that were ever issued. */
  issued: number
  /** Of these, the ones whose session was ended. */
  revoked: number
  /** Of these, the ones that are handed out, live. */
  live: number
  /** Whether the live ones come with a refresh token. */
  refreshable: boolean
}

export type Opened = { accessToken: string; refreshToken?: string }
export type Filled = { live: Opened[]; revoked: string[]; publicKey: JWK }

const AT_ONCE = 1_000

export async function fill(
  config: Config,
  resource: string,
  amounts: Amounts,
  say: (what: string) => void,
  more?: (parts: Parts) => Promise<void>,
): Promise<Filled> {
  const { store, seal } = await openData(config, { serving: true })
  try {
    const ring = await openKeyRing(store, seal, Date.now())
    const indexes = await createIndexes({ store, ttl: config.policy.accessTokenTtl, now: Date.now })
    const parts = { store, config, ring, resource }
    await more?.(parts)
    const issued = await issue(indexes, amounts.issued, say)
    const wanted = amounts.live + amounts.revoked
    const opened: (Opened & { sid: string })[] = []
    while (opened.length < wanted) {
      const some = issued.subarray(opened.length, Math.min(wanted, opened.length + AT_ONCE))
      const open = (idx: number) => openSession(parts, idx, { refreshable: amounts.refreshable })
      opened.push(...(await Promise.all(Array.from(some, open))))
      say(`filling the store: ${opened.length} of ${wanted} sessions`)
    }
    const live = opened.splice(0, amounts.live)
    for (let i = 0; i < opened.length; i += AT_ONCE) {
      await Promise.all(opened.slice(i, i + AT_ONCE).map(({ sid }) => endSession(store, sid)))
      say(`filling the store: ${i} of ${opened.length} revocations`)
    }
    const { kty, crv, x } = ring.jwks[0] as JWK
    return { live, revoked: opened.map(({ accessToken }) => accessToken), publicKey: { kty, crv, x } }
  } finally {
    await store.close()
  }
}

/** The indexes of all tokens, in no order: what is used of them lies anywhere among the lists. */
async function issue(indexes: Indexes, count: number, say: (what: string) => void): Promise<Uint32Array> {
  const issued = new Uint32Array(count)
  for (let i = 0; i < count; i++) {
    issued[i] = await indexes.next()
    if (i % 65_536 === 0) say(`filling the store: ${i} of ${count} tokens`)
  }
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    const swap = issued[i] as number
    issued[i] = issued[j] as number
    issued[j] = swap
  }
  return issued
}

export type Parts = { store: Store; config: Config; ring: KeyRing; resource: string }

/** A session as it is when it was just opened. */
export function sessionOf(
  resource: string,
  own: Pick<Session, 'sid' | 'sub' | 'openedAt' | 'ticketHash' | 'refresh' | 'tokens'>,
): Session {
  return {
    ...own,
    ...{ clientId: 'bench-app', scope: 'notes:read', refreshedAt: own.openedAt },
    ...{ authTime: Math.floor(own.openedAt / 1000), acr: PASSWORD_ACR },
    ...{ resource, resources: { [resource]: 'notes:read' } },
  }
}

/** Opens a session as a code exchange does, of an account of its own or of the one that is named. */
export async function openSession(
  parts: Parts,
  idx: number,
  options: { refreshable: boolean; sub?: string },
): Promise<Opened & { sid: string }> {
  const { store, config, ring, resource } = parts
  const { refreshable, sub = randomBytes(12).toString('base64url') } = options
  const at = Date.now()
  const iat = Math.floor(at / 1000)
  const sid = newSid(at, randomBytes(10))
  const token = { jti: randomBytes(16).toString('base64url'), idx, exp: iat + config.policy.accessTokenTtl }
  const refresh = refreshable ? refreshToken(sid, 1, randomBytes(32), ring.secrets) : undefined
  const session = sessionOf(resource, {
    ...{ sid, sub, openedAt: at, tokens: [token] },
    ticketHash: hashSecret(logoutTicket(sid, randomBytes(32), ring.secrets)),
    ...(refresh ? { refresh: { generation: 1, hash: hashSecret(refresh) } } : {}),
  })
  const audit = [{ event: 'session.opened' as const, at, actor: 'bench', sub: session.sub, sid }]
  const outcome = await store.transact({ kind: 'write', records: [], open: session, audit, at })
  if (outcome.kind !== 'written') throw new Error('a session could not be opened')
  const claims = accessTokenClaims(config.issuer, session, { ...token, iat, resource })
  return { sid, accessToken: signAccessToken(ring, claims), refreshToken: refresh }
}

async function endSession(store: Store, sid: string) {
  const request = { by: { kind: 'session' as const, sid }, reason: 'user_logout' as const, actor: 'bench' }
  const outcome = await store.transact({ kind: 'revoke', request, at: Date.now() })
  if (outcome.kind !== 'revoked') throw new Error('a session could not be ended')
}
