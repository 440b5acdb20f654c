import { type AccessTokenClaims, TokenInvalid } from './claims.ts'
import { DPOP_ALGORITHMS, verifyDpopProof } from './dpop.ts'
import { GuardError } from './errors.ts'
import { basic, type Credentials, followFeed } from './feed.ts'
import { remoteKeys } from './jwks.ts'
import { createVerifier } from './verify.ts'
import { createRevocationView, type RevocationRecord, type RevocationView } from './view.ts'

/** A live session, as the token that was shown for it says. */
export type GuardSession = AccessTokenClaims & {
  /** Aborts when the session, or this token, is revoked. */
  signal: AbortSignal
}

export type GuardRequest = {
  /** The `Authorization` header. */
  authorization?: string
  /** The `DPoP` header, with the request's method and full URL, for tokens that are bound to a key. */
  dpop?: string
  method?: string
  url?: string
  /** Scopes that the request needs, all of them. */
  scope?: string[]
}

export type Guard = {
  /**
   * Resolves once the guard knows every revocation that can matter.
   * @throws GuardError CONFIGURATION when the authority does not know the credentials
   */
  ready(): Promise<void>
  /**
   * Whether a request may go on, decided here, without asking anyone.
   * @throws GuardError AUTHENTICATION_FAILED, INSUFFICIENT_SCOPE, UNAVAILABLE
   */
  check(request: GuardRequest): Promise<GuardSession>
  /** Hears of each session that ends, so that an API can drop what it kept for it. Returns how to stop. */
  onSessionEnded(listener: (ended: { sid: string; reason: string; seq: number }) => void): () => void
  close(): void
}

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
  /** Where this API's RFC 9728 metadata is, for the 401 answers. */
  resourceMetadata?: string
  /** The time in ms. */
  now?: () => number
  /** Hears why the feed broke off; it reconnects by itself. */
  onError?: (error: Error) => void
}

const INTROSPECTION_TIMEOUT = 2_000
const SWEEP = 10_000
const MAX_PROOFS = 100_000
/** A hundred requests a second, with one key. */
const MAX_PROOFS_OF_KEY = 12_500
const PROOF_LIFE = 125_000

/**
 * Starts a guard for one API. It connects by itself and stays connected until it is closed.
 * @throws GuardError CONFIGURATION
 */
export function createGuard(options: GuardOptions): Guard {
  checkOptions(options)
  const { issuer, audience, credentials, maxStaleness = 5_000, onStale = 'introspect' } = options
  const now = options.now ?? Date.now
  // How long ago something was is told by a clock that nobody sets back, or old memory would pass for fresh.
  const ticks = options.now ?? (() => performance.now())
  const base = issuer.replace(/\/$/, '')
  const view = createRevocationView()
  const keyFor = remoteKeys({ url: `${base}/oauth/jwks`, now: ticks })
  const verifier = createVerifier({ issuer, now, keyFor })
  const proofs = createReplayCache(now)
  const refuse = refusals(options.resourceMetadata)
  const feed = listen(base, options, view, ticks)
  const sweeper = setInterval(() => view.sweep(now()), SWEEP)
  sweeper.unref()

  async function verify(scheme: string, token: string): Promise<AccessTokenClaims> {
    try {
      return await verifier.verify(token, { audience })
    } catch (error) {
      if (error instanceof TokenInvalid) throw refuse.invalid(scheme)
      throw error
    }
  }
  async function checkProof(request: GuardRequest, token: string, claims: AccessTokenClaims) {
    const { dpop = '', method = '', url = '' } = request
    const proof = await verifyDpopProof(dpop, { method, url, accessToken: token, now: now() }).catch(
      () => undefined,
    )
    if (proof?.jkt !== claims.jkt || !proof || !proofs.first(proof.jkt, proof.jti)) throw refuse.proof()
  }
  async function checkAlive(scheme: string, token: string, claims: AccessTokenClaims) {
    if (view.dead(claims)) throw refuse.invalid(scheme)
    if (feed.silentFor() <= maxStaleness) return
    if (onStale === 'deny') throw unavailable()
    const active = await introspect(base, credentials, token)
    // The feed may have come back, with news, while the authority was being asked.
    if (!active || view.dead(claims)) throw refuse.invalid(scheme)
  }
  return {
    ready: () => feed.ready,
    async check(request) {
      const { scheme: shown, token } = readAuthorization(request.authorization, refuse)
      const claims = await verify(shown, token)
      // A bound token without its proof is as good as stolen (RFC 9449 §7.2).
      const scheme = claims.jkt === undefined ? 'Bearer' : 'DPoP'
      if (shown !== scheme) throw refuse.invalid(scheme)
      // First, so that nobody fills the memory of proofs with a token that is dead.
      await checkAlive(scheme, token, claims)
      if (scheme === 'DPoP') {
        await checkProof(request, token, claims)
        if (view.dead(claims)) throw refuse.invalid(scheme)
      }
      const missing = (request.scope ?? []).filter((scope) => !claims.scope.includes(scope))
      if (missing.length > 0) throw refuse.scope(scheme, request.scope ?? [])
      // Copies: what a handler does to its session must not reach the next request.
      return { ...claims, aud: [...claims.aud], scope: [...claims.scope], signal: view.signal(claims) }
    },
    onSessionEnded: (listener) =>
      view.onApply(({ sid, jti, reason, seq }: RevocationRecord) => {
        if (jti === undefined) listener({ sid, reason, seq })
      }),
    close() {
      clearInterval(sweeper)
      feed.close()
    },
  }
}

/** Follows the feed, and knows how long ago it was last heard, in ms; infinitely long, before it is ready. */
function listen(base: string, options: GuardOptions, view: RevocationView, ticks: () => number) {
  let becomeReady = () => {}
  let giveUp: (error: GuardError) => void = () => {}
  const ready = new Promise<void>((resolve, reject) => {
    becomeReady = resolve
    giveUp = reject
  })
  // Who does not wait for it hears of it by `onError`.
  ready.catch(() => {})
  let heardAt = -Infinity
  const { close } = followFeed({
    url: `${base}/feed`,
    credentials: options.credentials,
    view,
    onReady: becomeReady,
    onHeard: () => {
      heardAt = ticks()
    },
    onError: (error) => {
      if (error instanceof GuardError) giveUp(error)
      options.onError?.(error)
    },
  })
  return { ready, close, silentFor: () => ticks() - heardAt }
}

/** @throws GuardError CONFIGURATION */
function checkOptions(options: GuardOptions) {
  const { issuer, audience, credentials, maxStaleness = 5_000, onStale = 'introspect' } = options
  const wrong = (what: string) => new GuardError('CONFIGURATION', `createGuard: ${what}.`)
  if (!URL.canParse(issuer)) throw wrong('`issuer` has to be the URL of the authority')
  if (!audience) throw wrong('`audience` has to be the resource identifier of this API')
  if (!credentials?.clientId || !credentials.clientSecret)
    throw wrong('`credentials` has to hold the clientId and clientSecret of this API')
  // NaN compares false with everything: as a bound it would never be reached.
  if (!Number.isFinite(maxStaleness) || maxStaleness <= 0)
    throw wrong('`maxStaleness` has to be a number of milliseconds above 0')
  if (onStale !== 'introspect' && onStale !== 'deny')
    throw wrong('`onStale` has to be "introspect" or "deny"')
  const { resourceMetadata } = options
  if (resourceMetadata !== undefined && !/^https?:\/\/[\x21\x23-\x5b\x5d-\x7e]+$/.test(resourceMetadata))
    throw wrong('`resourceMetadata` has to be the URL of this API’s metadata')
}

function readAuthorization(header: string | undefined, refuse: ReturnType<typeof refusals>) {
  // Another scheme is no token at all: no error code for it (RFC 6750 §3.1).
  if (header === undefined || !/^(Bearer|DPoP)(\s|$)/i.test(header)) throw refuse.absent()
  const [, scheme = '', token] = /^(Bearer|DPoP) ([^\s,]+)$/i.exec(header) ?? []
  if (!token) throw refuse.invalid('Bearer')
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token }
}

/** The refusals of RFC 6750 §3 and RFC 9449 §7.1, with the way to a token (RFC 9728 §5.1). */
function refusals(resourceMetadata: string | undefined) {
  const metadata = resourceMetadata ? [`resource_metadata="${resourceMetadata}"`] : []
  const challenge = (scheme: string, ...parts: string[]) => {
    const algorithms = scheme === 'DPoP' ? [`algs="${DPOP_ALGORITHMS.join(' ')}"`] : []
    return { 'www-authenticate': `${scheme} ${[...parts, ...algorithms, ...metadata].join(', ')}`.trim() }
  }
  return {
    absent: () =>
      new GuardError('AUTHENTICATION_FAILED', 'This request needs an access token.', challenge('Bearer')),
    invalid: (scheme: string) =>
      new GuardError(
        'AUTHENTICATION_FAILED',
        'The access token is not valid here: it was revoked, has expired or is not for this API. Sign in again.',
        challenge(scheme, 'error="invalid_token"', 'error_description="the access token is not valid"'),
      ),
    proof: () =>
      new GuardError(
        'AUTHENTICATION_FAILED',
        'The DPoP proof does not fit this request. Make a new one for each request.',
        challenge('DPoP', 'error="invalid_dpop_proof"', 'error_description="the proof does not fit"'),
      ),
    scope: (scheme: string, needed: string[]) =>
      new GuardError(
        'INSUFFICIENT_SCOPE',
        `This request needs the scope ${needed.join(' ')}.`,
        challenge(scheme, 'error="insufficient_scope"', `scope="${needed.join(' ')}"`),
      ),
  }
}

function unavailable(): GuardError {
  const message = 'Whether this token was revoked can’t be told right now, so it is refused. Try again.'
  return new GuardError('UNAVAILABLE', message, { 'retry-after': '1' })
}

/** Asks the authority about one token (RFC 7662). @throws GuardError UNAVAILABLE */
async function introspect(base: string, credentials: Credentials, token: string): Promise<boolean> {
  try {
    const response = await fetch(`${base}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: basic(credentials), 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ token }).toString(),
      redirect: 'error',
      signal: AbortSignal.timeout(INTROSPECTION_TIMEOUT),
    })
    if (response.status !== 200) throw new Error(`introspection answered ${response.status}`)
    return ((await response.json()) as { active?: unknown }).active === true
  } catch {
    throw unavailable()
  }
}

/**
 * Each DPoP proof counts once (RFC 9449 §11.1). Bounded, for each key too: who makes proofs without end is refused,
 * not everybody else.
 */
function createReplayCache(now: () => number) {
  const seen = new Map<string, number>()
  const ofKey = new Map<string, number>()
  function forget(proof: string) {
    seen.delete(proof)
    const key = proof.slice(0, proof.indexOf(' '))
    const left = (ofKey.get(key) ?? 1) - 1
    if (left > 0) ofKey.set(key, left)
    else ofKey.delete(key)
  }
  return {
    first(jkt: string, jti: string): boolean {
      const at = now()
      for (const [old, until] of seen) {
        if (until > at) break
        forget(old)
      }
      const proof = `${jkt} ${jti}`
      const made = ofKey.get(jkt) ?? 0
      if (seen.has(proof) || made >= MAX_PROOFS_OF_KEY || seen.size >= MAX_PROOFS) return false
      seen.set(proof, at + PROOF_LIFE)
      ofKey.set(jkt, made + 1)
      return true
    },
  }
}
