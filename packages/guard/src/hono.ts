import type { Context, MiddlewareHandler } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Needs } from './challenges.ts'
import { GuardError } from './errors.ts'
import type { Guard } from './guard.ts'
import type { GuardSession } from './judge.ts'

export type SessionEnv = { Variables: { session: GuardSession } }

export type HonoOptions = Needs & {
  /** The API's own origin as callers see it, which DPoP proofs name. Without it no proof fits. */
  origin?: string
  /** Where the token is, when it is not in the `Authorization` header. Check the `Origin` of such requests yourself. */
  token?: (c: Context) => string | undefined
}

/**
 * Hono middleware, for any runtime, that lets live tokens through; `c.get('session')` is the session.
 * @param options what the routes behind it need, and where the token is
 * @returns middleware that answers refusals itself: 401 (RFC 6750 §3, RFC 9470 §3), 403 or 503. What goes wrong
 * otherwise goes to the app's `onError`. For `app.use`, write `new Hono<SessionEnv>()`.
 */
export function requireSession(guard: Guard, options: HonoOptions = {}): MiddlewareHandler<SessionEnv> {
  return async (c, next) => {
    let session: GuardSession
    try {
      session = await guard.checkRequest(requestOf(c, options), options)
    } catch (error) {
      if (!(error instanceof GuardError)) throw error
      const headers = { ...error.headers, 'content-type': 'application/json', 'cache-control': 'no-store' }
      return c.body(JSON.stringify(error), error.status as ContentfulStatusCode, headers)
    }
    const over = new AbortController()
    let own: AbortSignal | undefined
    c.set('session', {
      ...session,
      get signal() {
        own ??= signalOf(session, c.req.raw, over)
        return own
      },
    })
    await next()
    // A stream may ask for its signal later on.
    if (own === undefined && !c.res.headers.has('transfer-encoding')) return
    // Nobody reads the body of an answer to HEAD.
    if (c.res.body && c.req.method !== 'HEAD') c.res = new Response(followed(c.res.body, over), c.res)
    else over.abort()
  }
}

function requestOf(c: Context, { origin, token }: HonoOptions) {
  const carried = token?.(c)
  return {
    // Of two Authorization headers this is both, which is none that fits.
    authorization: c.req.header('authorization') ?? (carried === undefined ? undefined : `Bearer ${carried}`),
    dpop: c.req.header('dpop'),
    method: c.req.method,
    url: origin === undefined ? undefined : `${origin}${new URL(c.req.url).pathname}`,
  }
}

/** Follows the session's signal until the response is over: a listener there for each request would pile up. */
function signalOf({ signal }: GuardSession, request: Request, over: AbortController): AbortSignal {
  const own = new AbortController()
  const end = () => own.abort(signal.reason)
  if (signal.aborted) end()
  if (signal.aborted || over.signal.aborted || request.signal.aborted) return own.signal
  signal.addEventListener('abort', end, { once: true, signal: over.signal })
  request.signal.addEventListener('abort', () => over.abort(), { once: true })
  return own.signal
}

/** The same body; `over` is aborted when all of it was read, or nobody wants it any more. */
function followed(body: ReadableStream<Uint8Array>, over: AbortController): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  reader.closed.catch(() => {}).finally(() => over.abort())
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    cancel: (reason) => reader.cancel(reason),
  })
}
