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
}
