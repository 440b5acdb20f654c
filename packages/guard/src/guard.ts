import { type Cache, createCache } from './cache.ts'
import { type Challenges, createChallenges, type Needs, type Scheme } from './challenges.ts'
import { type AccessTokenClaims, TokenInvalid } from './claims.ts'
import { type Connections, createHolds, type Holds } from './connections.ts'
import { verifyDpopProof } from './dpop.ts'
import { GuardError, unavailable } from './errors.ts'
import type { Credentials } from './feed.ts'
import { createIntrospection } from './introspect.ts'
import { listen } from './listen.ts'
import { createReplayCache } from './replay.ts'
import { isSet, type Place } from './status.ts'
import { checkTimes, verifySignature } from './verify.ts'
import { createRevocationView, type RevocationView } from './view.ts'

/** A live session, as the token that was shown for it says. It can't be changed: all requests with the token share it. */
export type GuardSession = Readonly<Omit<AccessTokenClaims, 'scope' | 'aud'>> & {
  readonly scope: readonly string[]
  readonly aud: readonly string[]
  /** Aborts when the session, or this token, is revoked. Its reason is a GuardError that has the `reason`. */
  readonly signal: AbortSignal
}

/** A token that is bound to a key comes with a proof for the request that it is in (RFC 9449 §7.1). */
export type Proof = { dpop: string; method: string; url: string }

export type GuardRequest = {
  /** The `Authorization` header. */
  authorization?: string
  /** The `DPoP` header, with the request's method and full URL, for tokens that are bound to a key. */
  dpop?: string
  method?: string
  url?: string
}

export type Guard = {
  /**
   * Resolves once the guard knows every revocation that can matter.
   * @throws GuardError CONFIGURATION when the authority does not know the credentials
   */
  ready(): Promise<void>
  /**
   * Whether a token lives and does for what is asked, decided here, without asking anyone.
   * @throws GuardError AUTHENTICATION_FAILED, INSUFFICIENT_USER_AUTHENTICATION, INSUFFICIENT_SCOPE, UNAVAILABLE
   */
  check(token: string, needs?: Needs & { proof?: Proof }): Promise<GuardSession>
  /** The same for the headers of a request. */
  checkRequest(request: GuardRequest, needs?: Needs): Promise<GuardSession>
  /** What has to close when its session ends. */
  connections: Connections
  /** Hears of each session that ends, so that an API can drop what it kept for it. Returns how to stop. */
  on(event: 'session-ended', listener: (ended: SessionEnded) => void): () => void
  /** For a health check: whether the feed is there, how long ago it was heard (ms), and the newest revocation. */
  state(): { live: boolean; silentFor: number; seq: number }
  close(): void
}

export type SessionEnded = { sid: string; reason: string; seq: number }

export type GuardOptions = {
  /** The authority's issuer URL. */
  issuer: string
  /** This API's resource identifier: the `aud` of its tokens. */
  audience: string
  /** What the authority's configuration gives this API, for the feed and introspection. */
  credentials: Credentials
  /** How long the guard trusts its memory without hearing from the authority, in ms (5000). */
  maxStaleness?: number
  /** What it does after that: ask the authority about each token, or refuse. Never let through. */
  onStale?: 'introspect' | 'deny'
  /** How long a connection may outlive its session's newest token, in ms (60000). */
  expiryGrace?: number
  /** How many tokens are remembered as verified (100000; at most twice as many are held). */
  cacheSize?: number
  /** Where this API's RFC 9728 metadata is, for the 401 answers. */
  resourceMetadata?: string
  /** The time in ms. */
  now?: () => number
  /** Hears why the feed broke off (it reconnects by itself), and what closing a connection threw. */
  onError?: (error: Error) => void
}

const SWEEP = 1_000
const NOTHING: CheckNeeds = {}

/** A token that was verified: what doesn't change with time, and where its bit is. */
type Known = { claims: AccessTokenClaims; place: Place; session: GuardSession }

type CheckNeeds = Needs & { proof?: Proof }

/**
 * Starts a guard for one API. It connects by itself and stays connected until it is closed.
 * @throws GuardError CONFIGURATION
 */
export function createGuard(options: GuardOptions): Guard {
  const settings = checked(options)
  const view = createRevocationView(settings.issuer)
  const known = createCache<Known>(settings.cacheSize)
  const feed = listen({
    ...options,
    ...settings,
    view,
    onReady: () => holds.recheck(),
    onKeysDropped: known.clear,
  })
  const holds = createHolds({ view, now: feed.now, grace: settings.expiryGrace, onError: options.onError })
  const challenges = createChallenges(options.resourceMetadata)
  const judge = createJudge({ ...settings, view, known, feed, holds, challenges })
  const sweeper = setInterval(() => holds.sweep(), SWEEP)
  sweeper.unref()

  async function check(token: string, needs: CheckNeeds = NOTHING): Promise<GuardSession> {
    try {
      return await judge(token, needs)
    } catch (error) {
      if (!(error instanceof TokenInvalid)) throw error
      const claims = known.get(token)?.claims
      const bound = claims ? claims.jkt !== undefined : needs.proof !== undefined
      throw challenges.invalid(bound ? 'DPoP' : 'Bearer', claims && view.reasonOf(claims))
    }
  }
  return {
    ready: () => feed.ready,
    check,
    async checkRequest(request, needs = NOTHING) {
      const { scheme, token } = readAuthorization(request.authorization, challenges)
      if (scheme === 'Bearer') return check(token, needs)
      const { dpop = '', method = '', url = '' } = request
      return check(token, { ...needs, proof: { dpop, method, url } })
    },
    connections: holds,
    on: (_event, listener) =>
      view.onApply(({ sid, jti, reason, seq }) => {
        if (jti === undefined) listener({ sid, reason, seq })
      }),
    state: () => {
      const silentFor = feed.silentFor()
      return { live: silentFor <= settings.maxStaleness, silentFor, seq: view.seq }
    },
    close() {
      clearInterval(sweeper)
      feed.close()
    },
  }
}

/** The check itself. It throws TokenInvalid for a token that is refused whatever the request needs. */
function createJudge(
  parts: ReturnType<typeof checked> & {
    view: RevocationView
    known: Cache<Known>
    feed: ReturnType<typeof listen>
    holds: Holds
    challenges: Challenges
  },
): (token: string, needs: CheckNeeds) => Promise<GuardSession> {
  const { issuer, audience, maxStaleness, onStale, view, known, feed, holds, challenges } = parts
  const { now, keyFor, silentFor } = feed
  const introspect = createIntrospection(`${issuer}/oauth/introspect`, parts.credentials)
  const proofs = createReplayCache(now)

  async function admit(token: string): Promise<Known> {
    const claims = await verifySignature(token, { issuer, keyFor })
    if (!claims.aud.includes(audience)) throw new TokenInvalid('audience')
    // Without a place among the bits nothing could ever be said against it.
    const place = view.bits.place(claims.status)
    if (!place) throw new TokenInvalid('malformed')
    const made = { claims, place, session: sessionOf(claims, holds) }
    known.set(token, made)
    return made
  }
  async function askIfAlive(token: string) {
    if (onStale === 'deny') throw unavailable()
    if (!(await introspect(token))) throw new TokenInvalid('revoked')
  }
  async function prove({ claims }: Known, token: string, { dpop, method, url }: Proof) {
    const expected = { method, url, accessToken: token, now: now() }
    const proof = await verifyDpopProof(dpop, expected).catch(() => undefined)
    if (!proof || proof.jkt !== claims.jkt || !proofs.first(proof.jkt, proof.jti)) throw challenges.proof()
  }
  return async (token, needs) => {
    const found = known.get(token) ?? (await admit(token))
    const { claims, place, session } = found
    checkTimes(claims, now())
    // First, so that nobody fills the memory of proofs with a token that is dead.
    if (isSet(place)) throw new TokenInvalid('revoked')
    if (silentFor() > maxStaleness) await askIfAlive(token)
    // A bound token without its proof is as good as stolen (RFC 9449 §7.2), and a proof for another one is nonsense.
    if ((claims.jkt === undefined) !== (needs.proof === undefined)) throw new TokenInvalid('unproven')
    if (needs.proof) await prove(found, token, needs.proof)
    // The feed may have brought news while somebody was being asked.
    if (isSet(place)) throw new TokenInvalid('revoked')
    if (needs !== NOTHING) meet(claims, needs, now(), challenges)
    holds.see(claims)
    return session
  }
}

function sessionOf(claims: AccessTokenClaims, holds: Holds): GuardSession {
  return Object.freeze({
    ...claims,
    aud: Object.freeze([...claims.aud]),
    scope: Object.freeze([...claims.scope]),
    // Made when somebody asks for it: most requests never do.
    get signal() {
      return holds.signal(claims)
    },
  })
}

/** @param now in ms */
function meet(claims: AccessTokenClaims, needs: Needs, now: number, challenges: Challenges) {
  const { scope, acrValues, maxAge } = needs
  const scheme: Scheme = claims.jkt === undefined ? 'Bearer' : 'DPoP'
  if (scope && !scope.every((one) => claims.scope.includes(one))) throw challenges.scope(scheme, scope)
  const weak = acrValues !== undefined && !acrValues.includes(claims.acr ?? '')
  const old = maxAge !== undefined && (claims.authTime ?? 0) + maxAge < now / 1000
  if (weak || old) throw challenges.stepUp(scheme, needs)
}

function readAuthorization(header: string | undefined, challenges: Challenges) {
  if (header === undefined || !/^(Bearer|DPoP)(\s|$)/i.test(header)) throw challenges.absent()
  const [, scheme = '', token] = /^(Bearer|DPoP) ([^\s,]+)$/i.exec(header) ?? []
  if (!token) throw challenges.invalid('Bearer')
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token }
}

/** @throws GuardError CONFIGURATION */
function checked(options: GuardOptions) {
  const { audience, credentials, maxStaleness = 5_000, onStale = 'introspect' } = options
  const { expiryGrace = 60_000, cacheSize = 100_000, resourceMetadata } = options
  const wrong = (what: string) => new GuardError('CONFIGURATION', `createGuard: ${what}.`)
  const url = URL.canParse(options.issuer) ? new URL(options.issuer) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) throw wrong('`issuer` has to be the URL of the authority')
  if (url.protocol === 'http:' && !['localhost', '127.0.0.1', '[::1]'].includes(url.hostname))
    throw wrong('`issuer` has to be https: over plain http anybody on the way could answer for the authority')
  if (!audience) throw wrong('`audience` has to be the resource identifier of this API')
  if (!credentials?.clientId || !credentials.clientSecret)
    throw wrong('`credentials` has to hold the clientId and clientSecret of this API')
  // NaN compares false with everything: as a bound it would never be reached.
  if (!Number.isFinite(maxStaleness) || maxStaleness <= 0)
    throw wrong('`maxStaleness` has to be a number of milliseconds above 0')
  if (!Number.isFinite(expiryGrace) || expiryGrace < 0)
    throw wrong('`expiryGrace` has to be a number of milliseconds, 0 or more')
  if (!Number.isSafeInteger(cacheSize) || cacheSize < 1)
    throw wrong('`cacheSize` has to be a number of tokens')
  if (onStale !== 'introspect' && onStale !== 'deny')
    throw wrong('`onStale` has to be "introspect" or "deny"')
  if (resourceMetadata !== undefined && !/^https?:\/\/[\x21\x23-\x5b\x5d-\x7e]+$/.test(resourceMetadata))
    throw wrong('`resourceMetadata` has to be the URL of this API’s metadata')
  const issuer = options.issuer.replace(/\/$/, '')
  return { issuer, audience, credentials, maxStaleness, onStale, expiryGrace, cacheSize }
}
