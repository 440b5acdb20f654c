import type { IncomingMessage, ServerResponse } from 'node:http'
import { destination, type Logger, pino } from 'pino'
import type { Authority } from './authority.ts'
import type { Config } from './config.ts'
import { currentRequest, type RequestContext } from './http/context.ts'
import { loggedPath } from './http/logged-path.ts'

/** The log: lines of JSON on standard error. What is about a request says which, and of which trace it is. */
export function createLog({ logLevel }: Pick<Config, 'logLevel'>): Logger {
  const mixin = () => {
    const request = currentRequest()
    if (!request) return {}
    const { id: requestId, span } = request
    return span ? { requestId, traceId: span.spanContext().traceId } : { requestId }
  }
  return pino({ level: logLevel, base: undefined, mixin }, destination({ dest: 2, sync: false }))
}

/** Follows a request to its end: a span where it is traced, a line where the log is of level `debug`. */
export function watchRequest(
  { log, tracing }: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  context: RequestContext,
) {
  const logged = log.isLevelEnabled('debug')
  if (!logged && !tracing) return
  const began = performance.now()
  const path = loggedPath(req)
  const { method } = req
  const endSpan = tracing?.begin(req, context)
  let over = false
  const end = () => {
    if (over) return
    over = true
    const { id: requestId } = context
    // Who went away before there was an answer got none.
    const status = res.headersSent ? res.statusCode : undefined
    endSpan?.(status)
    const ms = Math.round((performance.now() - began) * 10) / 10
    if (logged) log.debug({ requestId, method, path, status, ms }, 'request')
  }
  res.once('finish', end).once('close', end)
}
