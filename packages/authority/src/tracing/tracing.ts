import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { currentRequest, type RequestContext } from '../http/context.ts'
import type { OutcomeOf, Store, Transaction } from '../store/store.ts'
import { createExporter } from './exporter.ts'
import { parentOf } from './traceparent.ts'

/*
 * OpenTelemetry, loaded only where it is configured. What a span says of a request is its method, the pattern of its path
 * and its status: nothing that came with it.
 */

/** Spans that wait; what is more is dropped. */
const QUEUE = { maxQueueSize: 2_048, maxExportBatchSize: 512, scheduledDelayMillis: 1_000 }
/** The last spans have this long to go out when the authority stops, in ms. */
const FAREWELL = 2_000

export type Tracing = {
  /** Begins the span of a request. What it returns ends it, with the status that it was answered with, if it was. */
  begin(req: IncomingMessage, context: RequestContext): (status: number | undefined) => void
  /** The store, with a span for each transaction of a request. */
  traced(store: Store): Store
  /** Sends what waits, as far as that is possible in two seconds. */
  close(): Promise<void>
}

/** @param options.trustProxy whether the trace of a request is the one that its `traceparent` names */
export function startTracing(
  settings: NonNullable<Config['tracing']>,
  { trustProxy, log }: { trustProxy: boolean; log: Logger },
): Tracing {
  const exporter = createExporter(settings.endpoint, log)
  const { ratio } = settings
  const root = ratio < 1 ? new TraceIdRatioBasedSampler(ratio) : new AlwaysOnSampler()
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'rescind', 'service.instance.id': randomUUID() }),
    sampler: new ParentBasedSampler({ root }),
    spanProcessors: [new BatchSpanProcessor({ exporter, ...QUEUE, exportTimeoutMillis: 5_000 })],
  })
  const tracer = provider.getTracer('rescind')
  return {
    begin: (req, context) => beginRequest(tracer, req, context, trustProxy),
    traced: (store) => tracedStore(tracer, store),
    async close() {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, FAREWELL)
      })
      await Promise.race([provider.shutdown().catch(() => {}), late])
      clearTimeout(timer)
    },
  }
}

function beginRequest(tracer: Tracer, req: IncomingMessage, context: RequestContext, trustProxy: boolean) {
  const { method = 'GET' } = req
  const whole = currentRequest()
  // A tool that calls an endpoint of ours does so within the request that called the tool.
  const kind = whole ? SpanKind.INTERNAL : SpanKind.SERVER
  const parent = whole ? within(whole) : trustProxy ? parentOf(req.headers.traceparent) : ROOT_CONTEXT
  const span = tracer.startSpan(method, { kind, attributes: { 'http.request.method': method } }, parent)
  context.span = span
  return (status: number | undefined) => {
    const { route } = context
    if (route !== undefined) span.updateName(`${method} ${route}`).setAttribute('http.route', route)
    if (status !== undefined) span.setAttribute('http.response.status_code', status)
    if (status === undefined || status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
    span.end()
  }
}

function within({ span }: RequestContext): Context {
  return span ? trace.setSpan(ROOT_CONTEXT, span) : ROOT_CONTEXT
}

function tracedStore(tracer: Tracer, store: Store): Store {
  return {
    ...store,
    async transact<T extends Transaction>(transaction: T): Promise<OutcomeOf<T>> {
      const request = currentRequest()
      // What timers do belongs to nobody's trace.
      if (!request?.span?.isRecording()) return store.transact(transaction)
      const { kind } = transaction
      const attributes = { 'rescind.transaction': kind }
      const span = tracer.startSpan(`store ${kind}`, { attributes }, within(request))
      try {
        return await store.transact(transaction)
      } catch (error) {
        // Without its message, which may name hosts and users.
        span.setStatus({ code: SpanStatusCode.ERROR })
        throw error
      } finally {
        span.end()
      }
    },
  }
}
