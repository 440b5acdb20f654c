import { sign } from 'node:crypto'
import { readClaims } from '@rescind/guard/claims'
import { LIST_SIZE, listUri } from '@rescind/guard/status'
import type { Authority } from '../authority.ts'
import { type Session, scopeFor } from '../domain/session.ts'
import type { KeyRing } from '../keys/ring.ts'

export type TokenFacts = {
  jti: string
  /** Its place among all access tokens ever issued here. */
  idx: number
  /** In seconds. */
  iat: number
  exp: number
  resource: string
  /** What the request narrowed the scope to, if it did. */
  requestedScope?: string
  /** Thumbprint of the DPoP key that it is bound to (RFC 9449 §6.1). */
  jkt?: string
}

/** The claims of an access token (RFC 9068 §2.2), with the session it is of and its place in the status lists. */
export function accessTokenClaims(
  issuer: string,
  session: Session,
  facts: TokenFacts,
): Record<string, unknown> {
  const scope = scopeFor(session, facts.resource, facts.requestedScope)
  const userinfo = scope.split(' ').includes('openid') ? [`${issuer}/oauth/userinfo`] : []
  const list = Math.floor(facts.idx / LIST_SIZE)
  return {
    iss: issuer,
    sub: session.sub,
    aud: userinfo.length > 0 ? [facts.resource, ...userinfo] : facts.resource,
    client_id: session.clientId,
    iat: facts.iat,
    exp: facts.exp,
    jti: facts.jti,
    sid: session.sid,
    scope,
    auth_time: session.authTime,
    ...(session.acr ? { acr: session.acr } : {}),
    ...(facts.jkt ? { cnf: { jkt: facts.jkt } } : {}),
    status: { status_list: { idx: facts.idx % LIST_SIZE, uri: listUri(issuer, list) } },
  }
}

/**
 * When a token is issued, in s: now; or, in the second in which everything before was called off, the next one, as a
 * token can't say in which half of a second it was issued.
 */
export function issueTime({ view, now }: Authority, clientId: string): number {
  return Math.max(Math.floor(now() / 1000), view.aliveFrom(clientId))
}

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Signs an access token (RFC 9068 §2.1: `typ: at+jwt`) in the compact form of RFC 7515 §7.1, with EdDSA (RFC 8037). */
export function signAccessToken({ signing }: KeyRing, claims: Record<string, unknown>): string {
  const { kid, key } = signing
  const content = `${encoded({ alg: 'EdDSA', typ: 'at+jwt', kid })}.${encoded(claims)}`
  return `${content}.${sign(null, Buffer.from(content, 'latin1'), key).toString('base64url')}`
}

/** Signs an access token that is given out here and now: whoever shows it to us next need not have it verified. */
export function issueAccessToken(
  { ring, verifier, lateVerifier }: Authority,
  claims: Record<string, unknown>,
): string {
  const token = signAccessToken(ring(), claims)
  const known = readClaims(claims)
  verifier.remember(token, known)
  lateVerifier.remember(token, known)
  return token
}
