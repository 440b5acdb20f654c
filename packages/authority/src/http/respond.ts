import type { IncomingMessage, ServerResponse } from 'node:http'
import { type ErrorCode, RescindError, unavailable } from '../errors.ts'
import { StoreUnavailable } from '../store/store.ts'

/** Answers JSON that no cache may keep. */
export function sendJson(
  res: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const text = JSON.stringify(body)
  res.statusCode = status
  // One by one: writeHead would first gather those that are set already, 5 µs of each answer.
  res.setHeader('content-type', 'application/json; charset=utf-8')
  res.setHeader('content-length', Buffer.byteLength(text))
  res.setHeader('cache-control', 'no-store')
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  res.end(text)
}

/** What an error is on the wire. Anything that we did not mean to show becomes `INTERNAL`. */
export function asRescindError(error: unknown): RescindError {
  if (error instanceof RescindError) return error
  if (error instanceof StoreUnavailable) return unavailable()
  return new RescindError('INTERNAL', 'Something went wrong here. The log has it under this request id.')
}

/** What to do about a refusal, for OAuth clients (RFC 6750 §3, RFC 9470 §3). */
const CHALLENGES: Partial<Record<ErrorCode, string>> = {
  AUTHENTICATION_FAILED: 'Bearer error="invalid_token"',
  INSUFFICIENT_USER_AUTHENTICATION: 'Bearer error="insufficient_user_authentication", max_age="300"',
}

/** Answers an error in the contract's form; a body that was not read whole closes the connection. */
export function sendError(
  req: IncomingMessage,
  res: ServerResponse,
  error: RescindError,
  body: unknown = error,
): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const headers: Record<string, string> = {}
  if (error.retryAfter !== undefined) headers['retry-after'] = String(error.retryAfter)
  const challenge = CHALLENGES[error.code]
  if (challenge !== undefined) headers['www-authenticate'] = challenge
  if (!req.complete) headers.connection = 'close'
  sendJson(res, error.status, body, headers)
}

/** Answers a page; each may post its forms only to us and to where a sign-in returns to. */
export function sendHtml(
  res: ServerResponse,
  status: number,
  html: string,
  headers: Record<string, string> = {},
): void {
  res.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(html),
    ...PAGE_HEADERS,
    ...headers,
  })
  res.end(html)
}

/**
 * No script at all, and nothing from elsewhere. `form-action` stays open: browsers apply it to the redirect that
 * follows a form too, and a sign-in ends at the app's own address.
 */
export const PAGE_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
} as const
