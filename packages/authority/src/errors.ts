/**
 * What can go wrong, as people's code sees it: stable codes, each with its HTTP status.
 * MCP tools and `/v1/*` answer `{ "error": message, "code": code }`.
 */
export const ERROR_STATUS = {
  INVALID_TOKEN: 400,
  VALIDATION_ERROR: 400,
  INVALID_STATE: 400,
  INVALID_GRANT: 400,
  EXPIRED_CODE: 400,
  EXPIRED_TOKEN: 400,
  AUTHENTICATION_FAILED: 401,
  INSUFFICIENT_USER_AUTHENTICATION: 401,
  ACCESS_DENIED: 403,
  NOT_FOUND: 404,
  TOKEN_REVOKED: 410,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RATE_LIMITED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
} as const

export type ErrorCode = keyof typeof ERROR_STATUS

/** An error that may be shown as it is: its message says what to do and never holds a secret. */
export class RescindError extends Error {
  readonly code: ErrorCode
  /** When it is worth trying again, in seconds. */
  readonly retryAfter?: number

  constructor(code: ErrorCode, message: string, retryAfter?: number) {
    super(message)
    this.name = 'RescindError'
    this.code = code
    if (retryAfter !== undefined) this.retryAfter = retryAfter
  }

  get status(): number {
    return ERROR_STATUS[this.code]
  }

  toJSON(): { error: string; code: ErrorCode } {
    return { error: this.message, code: this.code }
  }
}

/** The one wording of `UNAVAILABLE`: nothing changed, try again. */
export function unavailable(): RescindError {
  return new RescindError(
    'UNAVAILABLE',
    'The request could not be made durable, so nothing has changed. Try again.',
    1,
  )
}
