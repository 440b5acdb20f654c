import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { GuardError } from './errors.ts'
import type { Guard, GuardSession } from './guard.ts'

export type GuardedRequest = IncomingMessage & { session: GuardSession }

/** Answers a refusal: its status, its headers, and `{ error, code }`, which no cache may keep. */
export function sendGuardError(res: ServerResponse, error: GuardError): void {
  res.writeHead(error.status, {
    ...error.headers,
    'content-type': 'application/json',
    'cache-control': 'no-store',
  })
  res.end(JSON.stringify(error))
}

/**
 * Puts a guard in front of a `node:http` handler; `req.session` is the live session. Its `signal` is this request's
 * own, so that what listens to it goes when the response closes.
 * @param options.scope scopes that every request needs
 * @param options.origin the API's own origin as callers see it, which DPoP proofs name
 * @param options.onError hears what the handler threw; the caller is told 500 and nothing more
 */
export function protect(
  guard: Guard,
  handler: (req: GuardedRequest, res: ServerResponse) => unknown,
  options: { scope?: string[]; origin?: string; onError?: (error: unknown) => void } = {},
): RequestListener {
  return async (req, res) => {
    try {
      // node:http keeps the first of two Authorization headers; we want neither of them.
      const { authorization, dpop } = req.headersDistinct
      const session = await guard.check({
        authorization: authorization?.join(', '),
        dpop: dpop?.join(', '),
        method: req.method,
        // Never from the Host header, which the caller writes: without an origin no proof fits.
        url: options.origin === undefined ? undefined : `${options.origin}${req.url}`,
        scope: options.scope,
      })
      const own = { ...session, signal: signalOf(session, res) }
      await handler(Object.assign(req, { session: own }), res)
    } catch (error) {
      if (res.headersSent) res.destroy()
      else if (error instanceof GuardError) sendGuardError(res, error)
      else {
        res.writeHead(500, { 'content-type': 'application/json', 'cache-control': 'no-store' })
        res.end('{"error":"Something went wrong here.","code":"INTERNAL"}')
      }
      if (!(error instanceof GuardError)) options.onError?.(error)
    }
  }
}

/** Follows the session's signal until the response closes: a listener there for each request would pile up. */
function signalOf({ signal }: GuardSession, res: ServerResponse): AbortSignal {
  const own = new AbortController()
  const end = () => own.abort(signal.reason)
  if (signal.aborted) end()
  // Who hung up while the token was checked will not close again.
  if (signal.aborted || res.closed) return own.signal
  signal.addEventListener('abort', end, { once: true })
  res.once('close', () => signal.removeEventListener('abort', end))
  return own.signal
}
