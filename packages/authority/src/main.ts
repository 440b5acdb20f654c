import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { destination, pino } from 'pino'
import { ADMIN_SCOPE, adminResource } from './administrators.ts'
import { assemble } from './assemble.ts'
import type { Authority } from './authority.ts'
import type { Config } from './config.ts'
import type { LoggedRevocation, LogPosition } from './domain/revocation.ts'
import { stillMatters, toRecord } from './feed/record.ts'
import { upgradeEndpoint } from './feed/upgrade.ts'
import type { Hooks } from './hooks.ts'
import type { Seal } from './keys/seal.ts'
import { AGENT_CLIENT, CODE_PATH } from './mcp/flow.ts'
import { createMetrics, type Metrics, serveMetrics } from './metrics.ts'
import { startNotices } from './notify/notices.ts'
import { checkClients } from './oauth/check-clients.ts'
import { loadOrigins } from './oauth/cors.ts'
import { OWN_PAGES, PAGES_CLIENT } from './oauth/signed-in.ts'
import { openData } from './open-data.ts'
import type { Locate } from './places.ts'
import { startRetention } from './retention.ts'
import type { Store } from './store/store.ts'
import { startTimeOuts } from './time-outs.ts'

export type RunningAuthority = { authority: Authority; url: string; close(): Promise<void> }

const SWEEP = 10_000
/** A request that is not sent whole by then is cut off; looked at every two seconds. */
/** Idle connections are kept for longer than proxies keep theirs: whoever closes first loses what is on its way. */
const KEEP = { keepAliveTimeout: 75_000, connectionsCheckingInterval: 2_000 }
const SERVER_LIMITS = { requestTimeout: 30_000, headersTimeout: 10_000, ...KEEP }

/** Adds what every authority has: a client for agents, and as resources its MCP endpoint and its administration. */
function withBuiltIns(config: Config): Config {
  const { issuer } = config
  const scopes = { 'account:read': 'See whose session this is' }
  const agent = {
    client_id: AGENT_CLIENT,
    client_name: 'An agent of yours',
    redirect_uris: [`${issuer}${CODE_PATH}`],
    token_endpoint_auth_method: 'none',
    firstParty: false,
  }
  const mcp = { resource: `${issuer}/mcp`, name: `${config.name} MCP`, scopes }
  const administration = {
    resource: adminResource(issuer),
    name: `${config.name} administration`,
    scopes: { [ADMIN_SCOPE]: 'End anybody’s sessions, and change any account' },
  }
  const pages: Config['clients'][number] = {
    client_id: PAGES_CLIENT,
    client_name: config.name,
    redirect_uris: OWN_PAGES.map((path) => issuer + path),
    response_types: ['none'],
    grant_types: [],
    token_endpoint_auth_method: 'none',
    firstParty: true,
  }
  return {
    ...config,
    clients: [agent, pages, ...config.clients],
    resources: [...config.resources, mcp, ...(config.admins.length > 0 ? [administration] : [])],
  }
}

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
  const { store, seal } = await openData(config, { serving: true })
  try {
    return await startOn(config, store, seal, now, options)
  } catch (error) {
    await store.close()
    throw error
  }
}

async function startOn(
  config: Config,
  store: Store,
  seal: Seal,
  now: () => number,
  options: { locate?: Locate; hooks?: Hooks },
): Promise<RunningAuthority> {
  const log = pino({ level: config.logLevel, base: undefined }, destination({ dest: 2, sync: false }))
  const metrics = createMetrics(() => authority.feed.guards().length)
  const authority = await assemble(config, store, seal, now, log, metrics)
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
  const { server, operators } = await openPorts(authority, metrics).catch(async (error: unknown) => {
    await authority.notices.stop()
    throw error
  })
  const sweeper = setInterval(() => void sweep(authority), SWEEP)
  sweeper.unref()
  const { port } = server.address() as AddressInfo
  log.info({ issuer: config.issuer, port }, 'the authority is up')
  return {
    authority,
    url: `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
    async close() {
      // Load balancers see it and send nothing more; what comes all the same is served.
      authority.health.stop()
      if (config.shutdown.delaySeconds > 0) await pause(config.shutdown.delaySeconds * 1000)
      clearInterval(sweeper)
      timeOuts.stop()
      retention.stop()
      authority.cutOffMarks.close()
      authority.events.close()
      authority.processes.close()
      authority.lastSeen.close()
      operators?.close()
      feed.close()
      await drain(server)
      await authority.notices.stop()
      await store.close()
      log.flush()
    },
  }
}

/** Lists that are over are forgotten; which those are, other processes know too. */
async function sweep({ view, indexes }: Authority) {
  await indexes.refresh().catch(() => {})
  view.bits.retire(indexes.firstList)
}

/** All of them or none. */
async function openPorts(authority: Authority, metrics: Metrics) {
  const { config } = authority
  const operators = config.metrics && (await serveMetrics(metrics, authority.health, config.metrics))
  try {
    return { operators, server: await listen(authority) }
  } catch (error) {
    operators?.close()
    throw error
  }
}

async function listen(authority: Authority): Promise<Server> {
  const { config, listener } = authority
  const server = createServer(SERVER_LIMITS, listener)
  server.on('upgrade', (req, socket, head) => void upgradeEndpoint(authority, req, socket, head))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.port, config.host, resolve)
  })
  return server
}

/** What is being served may finish; a connection that falls idle goes at once. */
async function drain(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  const idle = setInterval(() => server.closeIdleConnections(), 20)
  const patience = setTimeout(() => server.closeAllConnections(), 5_000)
  await closed
  clearInterval(idle)
  clearTimeout(patience)
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
