import { randomBytes } from 'node:crypto'
import type { ResourceConfig } from '../../packages/authority/src/config.ts'
import type { LoggedRevocation } from '../../packages/authority/src/domain/revocation.ts'
import { newSid } from '../../packages/authority/src/domain/secret.ts'
import type { Query, Store } from '../../packages/authority/src/store/store.ts'

/* What is revoked in the simulation, and the store that a feed reads it from again when a guard comes back. */

export type Plan = {
  /** How many APIs there are, each of them with guards of its own. */
  apis: number
  /** How many of them a session has tokens for. */
  audiences: number
  /** How many revocations. */
  count: number
}

export const apiOf = (number: number) => `https://api-${number}.example`
export const clientOf = (number: number) => `api-${number}`

export function resourcesOf(apis: number): ResourceConfig[] {
  const one = (_: unknown, number: number) => ({ resource: apiOf(number), client_id: clientOf(number) })
  return Array.from({ length: apis }, one) as ResourceConfig[]
}

/** Revocations as a store hands them out after its commit: a session that ends, with its one live access token. */
export function makeLog({ apis, audiences, count }: Plan): LoggedRevocation[] {
  const at = Date.now()
  const random = randomBytes(count * 46)
  return Array.from({ length: count }, (_, n) => {
    const text = (from: number, to: number) => random.toString('base64url', n * 46 + from, n * 46 + to)
    return {
      ...{ what: 'session', at, sid: newSid(at, random.subarray(n * 46, n * 46 + 10)), sub: text(10, 22) },
      ...{ clientId: 'bench-app', reason: 'user_logout', actor: 'bench' },
      tokens: [{ jti: text(22, 38), idx: n, exp: Math.floor(at / 1000) + 600 }],
      audiences: audiencesOf(apis, audiences),
      ...{ seq: n + 1, tag: text(38, 46) },
    }
  })
}

function audiencesOf(apis: number, count: number): string[] {
  if (count >= apis) return Array.from({ length: apis }, (_, number) => apiOf(number))
  const some = new Set<number>()
  while (some.size < count) some.add(Math.floor(Math.random() * apis))
  return [...some].map(apiOf)
}

/** @param published how many of the log are committed by now */
export function storeOf(log: LoggedRevocation[], published: () => number): Store {
  const read = async (query: Query): Promise<unknown> => {
    const newest = log[published() - 1]
    switch (query.kind) {
      case 'head':
        return { first: newest ? 1 : 0, seq: newest?.seq ?? 0, tag: newest?.tag ?? '', records: published() }
      case 'tag':
        return query.seq <= published() ? log[query.seq - 1]?.tag : undefined
      case 'revocations':
        return log.slice(query.after, Math.min(published(), query.after + query.limit))
      default:
        throw new Error(`the feed asks its store for ${query.kind}`)
    }
  }
  return { read } as Store
}
