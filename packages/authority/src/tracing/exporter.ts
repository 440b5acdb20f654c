import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'

/** A collector that is down is said once in this time, in ms. */
const SAID_EVERY = 60_000

/** Sends spans to a collector as OTLP/HTTP JSON; the log says that it does not get through, now and then. */
export function createExporter(url: string, log: Logger): SpanExporter {
  const otlp = new OTLPTraceExporter({ url, timeoutMillis: 4_000, concurrencyLimit: 2 })
  let said = -Infinity
  return {
    export(spans, done) {
      otlp.export(spans, (result) => {
        if (result.error && performance.now() - said > SAID_EVERY) {
          said = performance.now()
          log.warn({ error: result.error.message, spans: spans.length }, 'spans could not be sent')
        }
        done(result)
      })
    },
    shutdown: () => otlp.shutdown(),
    forceFlush: () => otlp.forceFlush(),
  }
}
