import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest, RawServerBase, RouteGenericInterface } from 'fastify'
import { GuardError } from './errors.ts'
import type { Guard } from './guard.ts'
import { checkNodeRequest, type ProtectOptions } from './http.ts'
import type { GuardSession } from './judge.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The live session: on routes behind `requireSession` of `@rescind/guard/fastify`. */
    session: GuardSession
  }
}

/**
 * A Fastify 5 hook, for `onRequest` or `preHandler`, that lets live tokens through; `request.session` is the session.
 * @param options what the routes behind it need, and where the token is
 * @returns a hook that answers refusals itself: 401 (RFC 6750 §3, RFC 9470 §3), 403 or 503. What goes wrong otherwise
 * goes to the app's error handler.
 */
export function requireSession(guard: Guard, options: ProtectOptions = {}) {
  return async <Server extends RawServerBase>(
    request: FastifyRequest<RouteGenericInterface, Server>,
    reply: FastifyReply<RouteGenericInterface, Server>,
  ): Promise<unknown> => {
    // Not what `rewriteUrl` made of it: a DPoP proof names what the caller asked for.
    const req = Object.assign(request.raw as IncomingMessage, { originalUrl: request.originalUrl })
    try {
      request.session = await checkNodeRequest(guard, req, reply.raw as ServerResponse, options)
    } catch (error) {
      if (!(error instanceof GuardError)) throw error
      reply.code(error.status).headers({ ...error.headers, 'cache-control': 'no-store' })
      return reply.send(error.toJSON())
    }
  }
}
