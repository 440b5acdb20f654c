import { setTimeout as pause } from 'node:timers/promises'
import type { Logger } from 'pino'
import { assemble, type Base } from './assemble.ts'
import type { Authority } from './authority.ts'
import { withBuiltIns } from './built-ins.ts'
import type { Config } from './config.ts'
import type { LoggedRevocation, LogPosition } from './domain/revocation.ts'
import { stillMatters, toRecord } from './feed/record.ts'
import type { Hooks } from './hooks.ts'
import { createMetrics } from './metrics.ts'
import { startNotices } from './notify/notices.ts'
import { checkClients } from './oauth/check-clients.ts'
import { loadOrigins } from './oauth/cors.ts'
import { openData } from './open-data.ts'
import type { Locate } from './places.ts'
import { reload } from './reload.ts'
import { createLog } from './request-log.ts'
import { startRetention } from './retention.ts'
import { openPorts } from './serving.ts'
import type { Store } from './store/store.ts'
import { startTimeOuts } from './time-outs.ts'
import type { Tracing } from './tracing/tracing.ts'

export type RunningAuthority = {
  authority: Authority
  url: string
  /** Takes over what can be changed while it runs; what can’t be used changes nothing, and is logged. */
  reload(read: () => Config): Promise<void>
  /**
   * Says that it stops, waits until load balancers have noticed (`shutdown.delaySeconds`), and stops; what is being served may
   * finish.
   * @param options.linger so long, in ms, whoever still has a connection may use it once more
   */
  close(options?: { linger?: number }): Promise<void>
}

const SWEEP = 10_000

/**
 * Starts an authority and resolves once it answers.
 * @param options.now the time in ms; for tests that move the clock
 * @param options.hooks rules of the deployment's own about what is suspicious
 * @param options.locate says where an IP address is; it is waited for 200 ms at most
 * @throws StoreUnavailable, ConfigError (a client that can't be used), or the system's error when the port is taken; nothing is left running
 */
export async function startAuthority(
  given: Config,
  options: { now?: () => number; locate?: Locate; hooks?: Hooks } = {},
): Promise<RunningAuthority> {
  const now = options.now ?? Date.now
  const config = withBuiltIns(given)
  const log = createLog(config)
  const { store, seal } = await openData(config, { serving: true })
  const tracing = await tracingOf(config, log)
  try {
    const base = { config, store: tracing?.traced(store) ?? store, seal, now, log, tracing }
    return await startOn(base, options)
  } catch (error) {
    await tracing?.close()
    await store.close()
    throw error
  }
}

/** Who does not trace does not load it either. */
async function tracingOf({ tracing, trustProxy }: Config, log: Logger): Promise<Tracing | undefined> {
  if (!tracing) return undefined
  const { startTracing } = await import('./tracing/tracing.ts')
  return startTracing(tracing, { trustProxy, log })
}

async function startOn(base: Base, options: { locate?: Locate; hooks?: Hooks }): Promise<RunningAuthority> {
  const { config, store, now, log } = base
  const metrics = createMetrics(() => authority.feed.guards().length)
  const authority = await assemble(base, metrics)
  await checkClients(authority)
  authority.hooks = options.hooks ?? {}
  const { feed } = authority
  authority.locate = options.locate

  store.onRevocation((revocation) => {
    apply(authority, revocation, feed.head)
    feed.publish(revocation)
    authority.events.hear(revocation)
    metrics.revoked(revocation)
    authority.watch.revoked(revocation.reason)
  })
  for await (const page of stillMatters(store, now())) {
    for (const one of page) apply(authority, one, await placeBefore(store, one))
  }
  const timeOuts = startTimeOuts(authority)
  const retention = startRetention(authority)
  await loadOrigins(authority)
  authority.notices = await startNotices(authority, {
    noticed(kind, result) {
      metrics.noticed(kind, result)
      if (result === 'failed' || result === 'dead') authority.watch.failed(kind)
    },
  })
  const serving = await openPorts(authority, metrics).catch(async (error: unknown) => {
    await authority.notices.stop()
    throw error
  })
  const sweeper = setInterval(() => void sweep(authority), SWEEP)
  sweeper.unref()
  const { port } = serving
  log.info({ issuer: config.issuer, port }, 'the authority is up')
  return {
    authority,
    url: `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
    reload: (read) => reload(authority, read),
    async close({ linger = 0 } = {}) {
      const { delaySeconds } = config.shutdown
      log.info({ delaySeconds }, 'the authority is stopping')
      // Load balancers see it and send nothing more; what comes all the same is served.
      authority.health.stop()
      if (delaySeconds > 0) await pause(delaySeconds * 1000)
      clearInterval(sweeper)
      timeOuts.stop()
      retention.stop()
      authority.cutOffMarks.close()
      // Whoever listens is let go once nobody can connect here any more, and finds another authority.
      const closed = () => {
        authority.events.close()
        feed.close()
      }
      await serving.stop({ linger, closed })
      authority.processes.close()
      authority.lastSeen.close()
      await authority.notices.stop()
      await authority.tracing?.close()
      await store.close()
      log.info('the authority has stopped')
      log.flush()
    },
  }
}

/** Lists that are over are forgotten; which those are, other processes know too. */
async function sweep({ view, indexes }: Authority) {
  await indexes.refresh().catch(() => {})
  view.bits.retire(indexes.firstList)
}

/** What is not in the log any more is no place to go on from: whoever reads the lists then is sent everything. */
async function placeBefore(store: Store, { what, seq }: LoggedRevocation): Promise<LogPosition> {
  const tag = what === 'cut_off' ? await store.read({ kind: 'tag', seq: seq - 1 }) : undefined
  return tag === undefined ? { seq: 0, tag: '' } : { seq: seq - 1, tag }
}

function apply({ view, cutOffMarks }: Authority, revocation: LoggedRevocation, before: LogPosition) {
  const record = toRecord(revocation)
  if (record) view.apply(record)
  if (revocation.what === 'cut_off') cutOffMarks.order(revocation, before)
}
