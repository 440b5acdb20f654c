import { createServer } from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { LoggedRevocation } from './domain/revocation.ts'
import type { Health } from './health.ts'

/** What an operator can watch. */
export type Metrics = {
  registry: Registry
  revoked(revocation: LoggedRevocation): void
  /** A guard has acknowledged a revocation, this long after its commit, in seconds. */
  acknowledged(seconds: number): void
  /** An attempt to tell somebody outside was made, or a notice was dropped. */
  noticed(kind: string, result: string): void
}

/** @param guards how many guards are connected */
export function createMetrics(guards: () => number): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const revocations = new Counter({
    name: 'rescind_revocations_total',
    help: 'Revocations that were committed by any process, by what ended and why: of several processes take the highest, not the sum.',
    labelNames: ['what', 'reason'],
    registers,
  })
  const acknowledgements = new Histogram({
    name: 'rescind_revocation_acknowledged_seconds',
    help: 'Time from the commit of a revocation to its acknowledgement by a guard, one observation for each guard.',
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  const notices = new Counter({
    name: 'rescind_notices_total',
    help: 'Attempts to deliver notices (delivered, failed, dead), and mails that were over their budget (dropped_…).',
    labelNames: ['kind', 'result'],
    registers,
  })
  new Gauge({
    name: 'rescind_guards',
    help: 'Guards that are connected to the feed.',
    registers,
    collect() {
      this.set(guards())
    },
  })
  return {
    registry,
    revoked: ({ what, reason }) => revocations.inc({ what, reason }),
    acknowledged: (seconds) => acknowledgements.observe(seconds),
    noticed: (kind, result) => notices.inc({ kind, result }),
  }
}

/** Serves `/metrics` in the Prometheus text format, and how the process is, on a port of its own, which is for operators. */
export async function serveMetrics(
  { registry }: Metrics,
  health: Health,
  { host, port }: { host: string; port: number },
): Promise<{ close(): void }> {
  const server = createServer(async (req, res) => {
    if (health.answer(req, res)) return
    if (req.method !== 'GET' || req.url?.split('?', 1)[0] !== '/metrics') return res.writeHead(404).end()
    res.writeHead(200, { 'content-type': registry.contentType, 'cache-control': 'no-store' })
    res.end(await registry.metrics())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
