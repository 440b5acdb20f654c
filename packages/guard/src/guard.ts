import { type AccessTokenClaims, TokenInvalid } from './claims.ts'
import { verifyDpopProof } from './dpop.ts'
import { GuardError } from './errors.ts'
import { basic, type Credentials, followFeed } from './feed.ts'
import { remoteKeys } from './jwks.ts'
import { createVerifier } from './verify.ts'
import { createRevocationView, type RevocationRecord } from './view.ts'

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
  /** Resolves once the guard knows every revocation that can matter. */
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
const PROOF_LIFE = 125_000

/** Starts a guard for one API. It connects by itself and stays connected until it is closed. */
export function createGuard(options: GuardOptions): Guard {
  const {
    issuer,
    audience,
    credentials,
    maxStaleness = 5_000,
    onStale = 'introspect',
    now = Date.now,
  } = options
  if (!URL.canParse(issuer) || !audience || !credentials?.clientId || !credentials.clientSecret) {
    throw new GuardError('CONFIGURATION', 'createGuard needs issuer, audience and credentials.')
  }
  const view = createRevocationView()
  const verifier = createVerifier({ issuer, now, keyFor: remoteKeys({ url: `${issuer}/oauth/jwks`, now }) })
  const proofs = createReplayCache(now)
  const refuse = refusals(options.resourceMetadata)
  const ready = Promise.withResolvers<void>()
  let heardAt = -Infinity
  const feed = followFeed({
    url: `${issuer}/feed`,
    credentials,
    view,
    onReady: () => ready.resolve(),
    onHeard: () => {
      heardAt = now()
    },
    onError: options.onError,
  })
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
    if (proof?.jkt !== claims.jkt || !proof || !proofs.first(`${proof.jkt} ${proof.jti}`))
      throw refuse.invalid('DPoP')
  }
  async function askAuthority(scheme: string, token: string) {
    if (onStale === 'deny' || !(await introspect(issuer, credentials, token))) {
      if (onStale === 'deny') throw unavailable()
      throw refuse.invalid(scheme)
    }
  }
  return {
    ready: () => ready.promise,
    async check(request) {
      const { scheme, token } = readAuthorization(request.authorization, refuse)
      const claims = await verify(scheme, token)
      if ((scheme === 'DPoP') !== (claims.jkt !== undefined)) throw refuse.invalid(scheme)
      if (scheme === 'DPoP') await checkProof(request, token, claims)
      if (view.dead(claims)) throw refuse.invalid(scheme)
      if (now() - heardAt > maxStaleness) await askAuthority(scheme, token)
      const missing = (request.scope ?? []).filter((scope) => !claims.scope.includes(scope))
      if (missing.length > 0) throw refuse.scope(scheme, request.scope ?? [])
      return { ...claims, signal: view.signal(claims) }
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

function readAuthorization(header: string | undefined, refuse: ReturnType<typeof refusals>) {
  if (header === undefined) throw refuse.absent()
  const [, scheme = '', token] = /^(Bearer|DPoP) ([^\s,]+)$/i.exec(header) ?? []
  if (!token) throw refuse.invalid('Bearer')
  return { scheme: scheme.toLowerCase() === 'dpop' ? 'DPoP' : 'Bearer', token }
}

/** The refusals of RFC 6750 §3, with the way to a token (RFC 9728 §5.1). */
function refusals(resourceMetadata: string | undefined) {
  const metadata = resourceMetadata ? [`resource_metadata="${resourceMetadata}"`] : []
  const challenge = (scheme: string, ...parts: string[]) => ({
    'www-authenticate': `${scheme} ${[...parts, ...metadata].join(', ')}`.trim(),
  })
  return {
    absent: () =>
      new GuardError('AUTHENTICATION_FAILED', 'This request needs an access token.', challenge('Bearer')),
    invalid: (scheme: string) =>
      new GuardError(
        'AUTHENTICATION_FAILED',
        'The access token is not valid here: it was revoked, has expired or is not for this API. Sign in again.',
        challenge(scheme, 'error="invalid_token"', 'error_description="the access token is not valid"'),
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
async function introspect(issuer: string, credentials: Credentials, token: string): Promise<boolean> {
  try {
    const response = await fetch(`${issuer}/oauth/introspect`, {
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

/** Each DPoP proof counts once (RFC 9449 §11.1). Bounded: when it is full, new proofs are refused. */
function createReplayCache(now: () => number) {
  const seen = new Map<string, number>()
  return {
    first(key: string): boolean {
      const at = now()
      for (const [old, until] of seen) {
        if (until > at) break
        seen.delete(old)
      }
      if (seen.has(key) || seen.size >= MAX_PROOFS) return false
      seen.set(key, at + PROOF_LIFE)
      return true
    },
  }
}
