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
 * Puts a guard in front of a `node:http` handler; `req.session` is the live session.
 * @param options.scope scopes that every request needs
 * @param options.origin the API's own origin as callers see it, which DPoP proofs name
 */
export function protect(
  guard: Guard,
  handler: (req: GuardedRequest, res: ServerResponse) => unknown,
  options: { scope?: string[]; origin?: string } = {},
): RequestListener {
  return async (req, res) => {
    try {
      const { authorization, dpop } = req.headers
      const session = await guard.check({
        authorization,
        dpop: [dpop].flat().join(','),
        method: req.method,
        url: `${options.origin ?? `http://${req.headers.host}`}${req.url}`,
        scope: options.scope,
      })
      await handler(Object.assign(req, { session }), res)
    } catch (error) {
      if (res.headersSent) res.destroy()
      else if (error instanceof GuardError) sendGuardError(res, error)
      else {
        res.writeHead(500, { 'content-type': 'application/json' })
        res.end('{"error":"Something went wrong here.","code":"INTERNAL"}')
      }
    }
  }
}
