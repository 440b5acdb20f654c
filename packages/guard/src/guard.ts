import { createCache } from './cache.ts'
import { type Challenges, createChallenges, type Needs } from './challenges.ts'
import { TokenInvalid } from './claims.ts'
import { type Connections, createHolds } from './connections.ts'
import { announceEndings, type SessionEnded } from './endings.ts'
import { GuardError } from './errors.ts'
import type { Credentials } from './feed.ts'
import {
  type CheckNeeds,
  createJudge,
  type GuardSession,
  type Known,
  NOTHING,
  type Settings,
} from './judge.ts'
import { listen } from './listen.ts'
import { createSeen } from './seen.ts'
import { isSet } from './status.ts'
import { createRevocationView } from './view.ts'

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
   * Resolves once the guard knows every revocation that can matter; waits for an authority that is away.
   * @throws GuardError CONFIGURATION when waiting won't help: no authority there, wrong credentials, wrong audience
   */
  ready(): Promise<void>
  /**
   * Whether a token lives and does for what is asked, decided here, without asking anyone.
   * @throws GuardError AUTHENTICATION_FAILED, INSUFFICIENT_USER_AUTHENTICATION, INSUFFICIENT_SCOPE, UNAVAILABLE
   */
  check(token: string, needs?: CheckNeeds): Promise<GuardSession>
  /** The same for the headers of a request. */
  checkRequest(request: GuardRequest, needs?: Needs): Promise<GuardSession>
  /** What has to close when its session ends. */
  connections: Connections
  /** Hears of each session that ends, so that an API can drop what it kept for it. Returns how to stop. */
  on(event: 'session-ended', listener: (ended: SessionEnded) => void): () => void
  /**
   * For a health check: whether the feed is there, how long ago it was heard (ms), and the newest revocation up to which
   * everything for this API is known.
   */
  state(): { live: boolean; silentFor: number; seq: number }
  close(): void
}

export type { SessionEnded } from './endings.ts'

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
  /**
   * Hears why the feed broke off or never began (it tries again by itself), and what closing a connection threw. Without
   * it the first one is a warning of the process.
   */
  onError?: (error: Error) => void
}

const SWEEP = 1_000
/**
 * Starts a guard for one API. It connects by itself and stays connected until it is closed.
 * @throws GuardError CONFIGURATION
 */
export function createGuard(options: GuardOptions): Guard {
  const settings = checked(options)
  const view = createRevocationView(settings.issuer)
  const known = createCache<Known>(settings.cacheSize)
  const onEnded = announceEndings(view, known)
  const seen = createSeen()
  const feed = listen({
    ...options,
    ...settings,
    view,
    onReady: () => holds.recheck(),
    takeSeen: seen.take,
    onKeysDropped: known.clear,
  })
  const holds = createHolds({ view, now: feed.now, grace: settings.expiryGrace, onError: options.onError })
  const challenges = createChallenges(options.resourceMetadata)
  const judge = createJudge({ ...settings, view, known, feed, holds, seen, challenges })
  const sweeper = setInterval(() => holds.sweep(), SWEEP)
  sweeper.unref()

  function refusal(found: Known | undefined, needs: CheckNeeds): GuardError {
    const bound = found ? found.bound : needs.proof !== undefined
    return challenges.invalid(bound ? 'DPoP' : 'Bearer', found && view.reasonOf(found.session))
  }
  async function explain(token: string, needs: CheckNeeds): Promise<GuardSession> {
    const found = known.get(token)
    // Whoever goes on trying a dead token should cost little.
    if (found && isSet(found)) throw refusal(found, needs)
    try {
      return await judge.slowly(token, needs)
    } catch (error) {
      throw error instanceof TokenInvalid ? refusal(known.get(token), needs) : error
    }
  }
  function check(token: string, needs: CheckNeeds = NOTHING): Promise<GuardSession> {
    return judge.quickly(token, needs) ?? explain(token, needs)
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
    on: (_event, listener) => onEnded(listener),
    state: () => {
      const silentFor = Math.round(feed.silentFor())
      return { live: silentFor <= settings.maxStaleness, silentFor, seq: feed.seq() }
    },
    close() {
      clearInterval(sweeper)
      feed.close()
    },
  }
}

function readAuthorization(header: string | undefined, challenges: Challenges) {
  if (header === undefined || !/^(Bearer|DPoP)(\s|$)/i.test(header)) throw challenges.absent()
  const [, scheme = '', token] = /^(Bearer|DPoP) ([^\s,]+)$/i.exec(header) ?? []
  if (!token) throw challenges.invalid('Bearer')
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token }
}

/** @throws GuardError CONFIGURATION */
function checked(options: GuardOptions): Settings {
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
