import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Span } from '@opentelemetry/api'

/** The request that is being served, known wherever its work has got to: for the log, and for traces. */
export type RequestContext = {
  id: string
  /** The pattern of its path, once it is known: `/v1/sessions/{id}`. */
  route?: string
  span?: Span
}

const contexts = new AsyncLocalStorage<RequestContext>()

/** What a proxy may call a request. */
const GIVEN_ID = /^[\w.:-]{8,64}$/

export function currentRequest(): RequestContext | undefined {
  return contexts.getStore()
}

export function inRequest<T>(context: RequestContext, work: () => T): T {
  return contexts.run(context, work)
}

/**
 * The id of a request: of the one that it is a part of, or what a trusted proxy calls it, or one of ours.
 * @param trustProxy whether a proxy of ours is in front, which is believed
 */
export function requestId(req: IncomingMessage, trustProxy: boolean): string {
  const given = trustProxy ? req.headers['x-request-id'] : undefined
  if (typeof given === 'string' && GIVEN_ID.test(given)) return given
  return currentRequest()?.id ?? randomUUID()
}
