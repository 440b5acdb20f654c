export type GuardErrorCode =
  | 'AUTHENTICATION_FAILED'
  | 'INSUFFICIENT_USER_AUTHENTICATION'
  | 'INSUFFICIENT_SCOPE'
  | 'UNAVAILABLE'
  | 'CONFIGURATION'

const STATUS: Record<GuardErrorCode, number> = {
  AUTHENTICATION_FAILED: 401,
  INSUFFICIENT_USER_AUTHENTICATION: 401,
  INSUFFICIENT_SCOPE: 403,
  UNAVAILABLE: 503,
  CONFIGURATION: 500,
}

/**
 * The one error of this library. `status` and `headers` are what to answer over HTTP; the body is
 * `{ "error": message, "code": code }`. The message says what to do and never holds a token.
 */
export class GuardError extends Error {
  readonly code: GuardErrorCode
  readonly status: number
  readonly headers: Record<string, string>
  /** Why the session ended (`user_logout`, `token_reuse`, …), where that is what happened. */
  readonly reason?: string

  constructor(code: GuardErrorCode, message: string, headers: Record<string, string> = {}, reason?: string) {
    super(message)
    this.name = 'GuardError'
    this.code = code
    this.status = STATUS[code]
    this.headers = headers
    if (reason !== undefined) this.reason = reason
  }

  toJSON(): { error: string; code: GuardErrorCode } {
    return { error: this.message, code: this.code }
  }
}

/** Nothing can be said for the token right now, so it is refused; nothing was said against it either. */
export function unavailable(
  message = 'Whether this token was revoked can’t be told right now, so it is refused. Try again.',
): GuardError {
  return new GuardError('UNAVAILABLE', message, { 'retry-after': '1' })
}
