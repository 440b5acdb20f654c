/** How long things live, and how a deployment wants them to die. */
export type Policy = {
  /** Lifetime of an access token, in seconds. */
  accessTokenTtl: number
  /** How long the answer to a refresh can be asked for again, in milliseconds. */
  refreshGrace: number
  /** A session that nobody refreshes for this long can no longer be refreshed, in milliseconds. */
  sessionIdle: number
  /** A session can be refreshed for this long after sign-in at most, in milliseconds. */
  sessionAbsolute: number
  /** What revoking a refresh token alone (RFC 7009 §2.1) takes with it. */
  cascade: 'token' | 'session'
  /** Live access tokens that one session may hold at a time; bounds what a refresh loop can pile up. */
  maxLiveAccessTokens: number
  /** Live sessions that one account may have; one more ends the one that was unused for the longest. */
  maxSessions: number
  /** Whether a refresh token that two devices use within the grace window ends its session. */
  impossibleReuse: boolean
  /** Clients that have lifetimes of their own. */
  clients: Record<string, Partial<Lifetimes>>
}

/** How long the tokens (s) and sessions (ms) of a client live. */
export type Lifetimes = Pick<Policy, 'accessTokenTtl' | 'sessionIdle' | 'sessionAbsolute'>

/** A client's lifetimes: its own, where it has some. */
export function lifetimesOf(policy: Policy, clientId: string): Lifetimes {
  const { accessTokenTtl, sessionIdle, sessionAbsolute, clients } = policy
  const own = Object.hasOwn(clients, clientId) ? clients[clientId] : undefined
  return { accessTokenTtl, sessionIdle, sessionAbsolute, ...own }
}

/** The longest that an access token of any client lives, in seconds. */
export function longestToken({ accessTokenTtl, clients }: Policy): number {
  return Math.max(accessTokenTtl, ...Object.values(clients).map((own) => own.accessTokenTtl ?? 0))
}

/** No configuration lets an access token live longer, in seconds. */
export const MAX_ACCESS_TOKEN_TTL = 3600

const DAY = 24 * 60 * 60 * 1000

export const DEFAULT_POLICY: Policy = {
  accessTokenTtl: 600,
  refreshGrace: 10_000,
  sessionIdle: 30 * DAY,
  sessionAbsolute: 90 * DAY,
  cascade: 'token',
  maxLiveAccessTokens: 64,
  maxSessions: 100,
  impossibleReuse: true,
  clients: {},
}
