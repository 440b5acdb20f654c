/** What an access token of the authority says (RFC 9068 §2.2). */
export type AccessTokenClaims = {
  iss: string
  /** The account. */
  sub: string
  aud: string[]
  /** In seconds. */
  exp: number
  iat: number
  jti: string
  /** The session. */
  sid: string
  clientId: string
  scope: string[]
  /** When the person last proved who they are, in seconds. */
  authTime?: number
  acr?: string
  /** Thumbprint of the DPoP key that the token is bound to (RFC 9449 §6.1). */
  jkt?: string
  /** Its place in the token status list. */
  status?: { idx: number; uri: string }
}

export type InvalidReason =
  | 'malformed'
  | 'foreign'
  | 'signature'
  | 'expired'
  | 'audience'
  | 'revoked'
  | 'unproven'

/** A token that is not to be trusted. The reason is for logs; callers are told nothing more than "no". */
export class TokenInvalid extends Error {
  readonly reason: InvalidReason

  constructor(reason: InvalidReason) {
    super(`the token is not valid: ${reason}`)
    this.name = 'TokenInvalid'
    this.reason = reason
  }
}

const MAX_TEXT = 2048
const MAX_AUDIENCES = 16
/** Scope tokens with one space between them (RFC 6749 §3.3). */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value === '' || value.length > MAX_TEXT)
    throw new TokenInvalid('malformed')
  return value
}

function whole(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new TokenInvalid('malformed')
  return value
}

function audiences(value: unknown): string[] {
  const list = Array.isArray(value) ? value : [value]
  if (list.length === 0 || list.length > MAX_AUDIENCES) throw new TokenInvalid('malformed')
  return list.map(text)
}

function statusOf(value: unknown): AccessTokenClaims['status'] {
  if (value === undefined) return undefined
  const list = isRecord(value) ? value.status_list : undefined
  if (!isRecord(list)) throw new TokenInvalid('malformed')
  return { idx: whole(list.idx), uri: text(list.uri) }
}

/**
 * Reads the claims of a decoded payload, strictly: one that is missing or of another type makes it no token of ours.
 * @throws TokenInvalid `malformed`
 */
export function readClaims(payload: unknown): AccessTokenClaims {
  if (!isRecord(payload)) throw new TokenInvalid('malformed')
  const { scope, auth_time, acr, cnf, status } = payload
  if (scope !== undefined && scope !== '' && !SCOPE.test(text(scope))) throw new TokenInvalid('malformed')
  if (cnf !== undefined && !isRecord(cnf)) throw new TokenInvalid('malformed')
  const place = statusOf(status)
  return {
    iss: text(payload.iss),
    sub: text(payload.sub),
    aud: audiences(payload.aud),
    exp: whole(payload.exp),
    iat: whole(payload.iat),
    jti: text(payload.jti),
    sid: text(payload.sid),
    clientId: text(payload.client_id),
    scope: scope ? (scope as string).split(' ') : [],
    ...(auth_time === undefined ? {} : { authTime: whole(auth_time) }),
    ...(acr === undefined ? {} : { acr: text(acr) }),
    // A confirmation that we don't know binds the token to something that we can't check.
    ...(cnf === undefined ? {} : { jkt: text(cnf.jkt) }),
    ...(place === undefined ? {} : { status: place }),
  }
}
