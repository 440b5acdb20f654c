import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Needs } from './challenges.ts'
import { GuardError } from './errors.ts'
import type { Guard, GuardRequest } from './guard.ts'
import type { GuardSession } from './judge.ts'

export type GuardedRequest = IncomingMessage & { session: GuardSession }

export type ProtectOptions = Needs & {
  /** The API's own origin as callers see it, which DPoP proofs name. Without it no proof fits. */
  origin?: string
  /**
   * Where the token is, when it is not in the `Authorization` header: a browser's `EventSource` and `WebSocket` can't
   * send that, so theirs is in a cookie, say. Check the `Origin` of such requests yourself.
   */
  token?: (req: IncomingMessage) => string | undefined
}

/** Answers a refusal: its status, its headers, and `{ error, code }`, which no cache may keep. */
export function sendGuardError(res: ServerResponse, error: GuardError): void {
  res.writeHead(error.status, {
    ...error.headers,
    'content-type': 'application/json',
    'cache-control': 'no-store',
  })
  res.end(JSON.stringify(error))
}

/** What a `node:http` request says of its token. */
export function requestOf(req: IncomingMessage, { origin, token }: ProtectOptions): GuardRequest {
  const carried = token?.(req)
  // Express takes the path that a router is mounted at out of `url`; the caller's proof has it.
  const { originalUrl = req.url } = req as { originalUrl?: string }
  return {
    authorization:
      headerOf(req, 'authorization') ?? (carried === undefined ? undefined : `Bearer ${carried}`),
    dpop: headerOf(req, 'dpop'),
    method: req.method,
    // Never from the Host header, which the caller writes.
    url: origin === undefined ? undefined : `${origin}${originalUrl}`,
  }
}

/** All that a header was sent with: `headers` keeps the first of two Authorization headers; we want neither of them. */
function headerOf({ rawHeaders }: IncomingMessage, name: string): string | undefined {
  const values = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
  return values.length === 0 ? undefined : values.join(', ')
}

/**
 * Checks a `node:http` request.
 * @param res the response, or the socket of an upgrade
 * @returns the session; its `signal` is this request's own, so that what listens to it goes when the response closes
 * @throws GuardError as `guard.check`
 */
export async function checkNodeRequest(
  guard: Guard,
  req: IncomingMessage,
  res: ServerResponse | Duplex,
  options: ProtectOptions,
): Promise<GuardSession> {
  const session = await guard.checkRequest(requestOf(req, options), options)
  let own: AbortSignal | undefined
  return {
    ...session,
    // Most handlers never ask for it.
    get signal() {
      own ??= signalOf(session, res)
      return own
    },
  }
}

/**
 * Puts a guard in front of a `node:http` handler; `req.session` is the live session.
 * @param options what every request needs; `onError` hears what the handler threw: the caller is told 500 and no more
 */
export function protect(
  guard: Guard,
  handler: (req: GuardedRequest, res: ServerResponse) => unknown,
  options: ProtectOptions & { onError?: (error: unknown) => void } = {},
): RequestListener {
  return async (req, res) => {
    try {
      const session = await checkNodeRequest(guard, req, res, options)
      await handler(Object.assign(req, { session }), res)
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
function signalOf({ signal }: GuardSession, res: ServerResponse | Duplex): AbortSignal {
  const own = new AbortController()
  const end = () => own.abort(signal.reason)
  if (signal.aborted) end()
  // Who hung up while the token was checked will not close again.
  if (signal.aborted || res.destroyed) return own.signal
  signal.addEventListener('abort', end, { once: true })
  res.once('close', () => signal.removeEventListener('abort', end))
  return own.signal
}
