import type { Cache } from './cache.ts'
import type { Challenges, Needs } from './challenges.ts'
import { type AccessTokenClaims, TokenInvalid } from './claims.ts'
import type { Holds } from './connections.ts'
import { verifyDpopProof } from './dpop.ts'
import { unavailable } from './errors.ts'
import type { Credentials } from './feed.ts'
import { createIntrospection } from './introspect.ts'
import type { Listening } from './listen.ts'
import { createReplayCache } from './replay.ts'
import type { Seen } from './seen.ts'
import { isSet, type Place, setBit } from './status.ts'
import { checkTimes, timesOf, verifySignature } from './verify.ts'
import type { RevocationView } from './view.ts'

/** A live session, as the token that was shown for it says. It can't be changed: all requests with the token share it. */
export type GuardSession = Readonly<Omit<AccessTokenClaims, 'scope' | 'aud'>> & {
  readonly scope: readonly string[]
  readonly aud: readonly string[]
  /** Aborts when the session, or this token, is revoked. Its reason is a GuardError that has the `reason`. */
  readonly signal: AbortSignal
}

/** A token that is bound to a key comes with a proof for the request that it is in (RFC 9449 §7.1). */
export type Proof = { dpop: string; method: string; url: string }

export type CheckNeeds = Needs & { proof?: Proof }

/** What most checks need: the same object each time, so that it is seen at a glance. */
export const NOTHING: CheckNeeds = {}

/** A token that was verified, flat, because it is looked at for each request: its times (s), its bit, its session. */
export type Known = Place & {
  readonly expires: number
  readonly notBefore: number
  readonly bound: boolean
  readonly session: GuardSession
  /** The round of reports in which its session was noted as seen. */
  noted: number
  /** Made once: a promise for each request costs more than all else. */
  readonly answer: Promise<GuardSession>
}

/** What the owner of a guard chose, and what stands where nothing was chosen. */
export type Settings = {
  issuer: string
  audience: string
  credentials: Credentials
  maxStaleness: number
  onStale: 'introspect' | 'deny'
  expiryGrace: number
  cacheSize: number
}

type Parts = Settings & {
  view: RevocationView
  known: Cache<Known>
  feed: Listening
  holds: Holds
  seen: Seen
  challenges: Challenges
}

/** Verifies a token that was not seen before. @throws TokenInvalid; GuardError UNAVAILABLE */
function admission({ issuer, audience, view, known, feed, holds }: Parts): (token: string) => Promise<Known> {
  const sessionOf = sessionMaker(holds)
  return async (token) => {
    const claims = await verifySignature(token, { issuer, keyFor: feed.keyFor })
    if (!claims.aud.includes(audience)) throw new TokenInvalid('audience')
    // Without a place among the bits nothing could ever be said against it.
    const place = view.bits.place(claims.status)
    if (!place) throw new TokenInvalid('malformed')
    if (view.cutOff(claims)) setBit(place)
    const session = sessionOf(claims)
    const bound = claims.jkt !== undefined
    const made = { ...place, ...timesOf(claims), bound, session, noted: 0, answer: Promise.resolve(session) }
    known.set(token, made)
    return made
  }
}

/** The check itself. */
export function createJudge(parts: Parts) {
  const { issuer, maxStaleness, onStale, known, feed, holds, seen, challenges } = parts
  const { now, silentFor } = feed
  const admit = admission(parts)
  const introspect = createIntrospection(`${issuer}/oauth/introspect`, parts.credentials)
  const proofs = createReplayCache(now)

  async function askIfAlive(token: string) {
    if (onStale === 'deny') throw unavailable()
    if (!(await introspect(token))) throw new TokenInvalid('revoked')
  }
  async function prove({ session }: Known, token: string, { dpop, method, url }: Proof) {
    const expected = { method, url, accessToken: token, now: now() }
    const proof = await verifyDpopProof(dpop, expected).catch(() => undefined)
    if (!proof || proof.jkt !== session.jkt || !proofs.first(proof.jkt, proof.jti)) throw challenges.proof()
  }
  return {
    /** Decides what can be decided at once; nothing for what needs a closer look, or is refused. */
    quickly(token: string, needs: CheckNeeds): Promise<GuardSession> | undefined {
      const found = known.get(token)
      if (found === undefined || found.bound || needs.proof !== undefined || isSet(found)) return undefined
      const seconds = now() / 1000
      if (found.expires <= seconds || found.notBefore > seconds || silentFor() > maxStaleness)
        return undefined
      if (needs !== NOTHING && !meets(found.session, needs, seconds)) return undefined
      if (found.noted !== seen.round) seen.note(found, found.session.sid)
      holds.see(found.session)
      return found.answer
    },
    /** @throws TokenInvalid for a token that is refused whatever the request needs; GuardError */
    async slowly(token: string, needs: CheckNeeds): Promise<GuardSession> {
      const found = known.get(token) ?? (await admit(token))
      checkTimes(found, now())
      // First, so that nobody fills the memory of proofs with a token that is dead.
      if (isSet(found)) throw new TokenInvalid('revoked')
      if (silentFor() > maxStaleness) await askIfAlive(token)
      // A bound token without its proof is as good as stolen (RFC 9449 §7.2), and a proof for another is nonsense.
      if (found.bound !== (needs.proof !== undefined)) throw new TokenInvalid('unproven')
      if (needs.proof) await prove(found, token, needs.proof)
      // The feed may have brought news while somebody was being asked.
      if (isSet(found)) throw new TokenInvalid('revoked')
      const scheme = found.bound ? 'DPoP' : 'Bearer'
      if (!hasScope(found.session, needs)) throw challenges.scope(scheme, needs.scope ?? [])
      if (!isStrong(found.session, needs, now() / 1000)) throw challenges.stepUp(scheme, needs)
      if (found.noted !== seen.round) seen.note(found, found.session.sid)
      holds.see(found.session)
      return found.session
    },
  }
}

/** Makes the sessions of a guard. What they have in common is on their prototype: each check looks at one of them. */
function sessionMaker(holds: Holds): (claims: AccessTokenClaims) => GuardSession {
  const common = {
    // Made when somebody asks for it: most requests never do.
    get signal(): AbortSignal {
      return holds.signal(this as unknown as AccessTokenClaims)
    },
  }
  return (claims) => {
    const status = Object.freeze(claims.status)
    const own = {
      ...claims,
      status,
      aud: Object.freeze([...claims.aud]),
      scope: Object.freeze([...claims.scope]),
    }
    return Object.freeze(Object.assign(Object.create(common), own)) as GuardSession
  }
}

/** @param seconds the time in s */
function meets(session: GuardSession, needs: Needs, seconds: number): boolean {
  return hasScope(session, needs) && isStrong(session, needs, seconds)
}

function hasScope({ scope }: GuardSession, needs: Needs): boolean {
  return needs.scope === undefined || needs.scope.every((one) => scope.includes(one))
}

function isStrong(
  { acr = '', authTime = 0 }: GuardSession,
  { acrValues, maxAge }: Needs,
  seconds: number,
): boolean {
  if (acrValues !== undefined && !acrValues.includes(acr)) return false
  return maxAge === undefined || authTime + maxAge >= seconds
}
