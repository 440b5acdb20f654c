import type { RequestHandler } from 'express'
import { GuardError } from './errors.ts'
import type { Guard } from './guard.ts'
import { checkNodeRequest, type ProtectOptions, sendGuardError } from './http.ts'
import type { GuardSession } from './judge.ts'

declare global {
  namespace Express {
    interface Request {
      /** The live session: on routes behind `requireSession` of `@rescind/guard/express`. */
      session: GuardSession
    }
  }
}

/**
 * Express 5 middleware that lets live tokens through; `req.session` is the session.
 * @param options what the routes behind it need, and where the token is
 * @returns middleware that answers refusals itself: 401 (RFC 6750 §3, RFC 9470 §3), 403 or 503. What goes wrong
 * otherwise goes to the app's error handlers.
 */
export function requireSession(guard: Guard, options: ProtectOptions = {}): RequestHandler {
  return async (req, res, next) => {
    try {
      req.session = await checkNodeRequest(guard, req, res, options)
    } catch (error) {
      if (error instanceof GuardError) return sendGuardError(res, error)
      throw error
    }
    next()
  }
}
