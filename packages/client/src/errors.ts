/** Every code that this library throws. */
export type ClientErrorCode =
  | 'NOT_SIGNED_IN'
  | 'SESSION_ENDED'
  | 'SIGN_IN_FAILED'
  | 'UNAVAILABLE'
  | 'REFUSED'
  | 'CONFIGURATION'

/**
 * The one error of this library. The message says what to do and never holds a token; `reason` says why a session
 * ended (`device_removed`, `token_reuse`, …) where that is what happened.
 */
export class RescindClientError extends Error {
  readonly code: ClientErrorCode
  readonly reason: string | undefined

  constructor(code: ClientErrorCode, message: string, reason?: string, cause?: unknown) {
    super(message, { cause })
    this.name = 'RescindClientError'
    this.code = code
    this.reason = reason
  }
}
