// One authority's feed, with as many guards as one process takes, and revocations at an even pace. Run with --expose-gc.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import type { LoggedRevocation } from '../../packages/authority/src/domain/revocation.ts'
import { createFeed, type Feed } from '../../packages/authority/src/feed/feed.ts'
import { ticks } from '../measure.ts'
import { serveCommands } from '../worker.ts'
import { makeLog, type Plan, resourcesOf, storeOf } from './log.ts'
import { isFor, type Looked, lookAt } from './look.ts'
import { type Simulated, simulateGuards, type Taken } from './simulated.ts'

export type Start = Plan & {
  guards: number
  /** How many of them read late for a while, and how many lose their connection and come back. */
  late: number
  lost: number
  /** How many are looked at afterwards, of each kind. */
  looked: number
}
/** What a connected guard takes of memory, in bytes. */
export type Started = { heap: number; resident: number }
export type Ran = {
  seconds: number
  /** CPU of this process, in s. */
  cpu: number
  published: number
  taken: Taken
}

/** How long one that reads late reads nothing, in ms. */
const LATE = 1_500
/** Nobody comes back later than this, in ms. */
const PATIENCE = 20_000

let log: LoggedRevocation[] = []
let published = 0
let begunAt = 0
let rate = 1
let feed: Feed | undefined
let simulated: Simulated | undefined

function open(plan: Plan): Feed {
  log = makeLog(plan)
  const store = storeOf(log, () => published)
  const none = {
    trustProxy: false,
    kids: () => ['bench'],
    caughtUp: () => Promise.resolve(),
    firstList: () => 0,
  }
  feed = createFeed({
    ...{ store, resources: resourcesOf(plan.apis), head: { seq: 0, tag: '' }, now: Date.now, ...none },
    ...{ onAcknowledged: () => {}, onSeen: () => {} },
  })
  return feed
}

function used(): { heap: number; resident: number } {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage()
  return { heap: heapUsed + arrayBuffers, resident: rss }
}

async function start(options: Start): Promise<Started> {
  const made = open(options)
  const { apis, guards, looked, late, lost } = options
  // The first ones are those that have trouble; of each kind some are looked at.
  const first = (from: number) => Array.from({ length: looked }, (_, n) => from + n)
  const chosen = new Set([...first(0), ...first(late), ...first(late + lost)].filter((n) => n < guards))
  const before = used()
  simulated = simulateGuards(made, { apis, guards, looked: chosen })
  await simulated.connect()
  const after = used()
  return {
    heap: (after.heap - before.heap) / guards,
    resident: (after.resident - before.resident) / guards,
  }
}

/** A feed whose guards come over real connections: what the kernel takes is in its CPU then. */
async function listen(plan: Plan): Promise<{ port: number }> {
  const made = open(plan)
  const server = createServer()
  server.on('upgrade', (req, socket, head) => {
    const client = `${req.headers['x-client']}`
    if (!made.connect(req, socket, head, client, { seq: 0, tag: '' })) socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve))
  return { port: (server.address() as AddressInfo).port }
}

/**
 * Publishes the log up to a place at an even pace, from where a store's thread does: what has gathered is handed over at once.
 * @returns when all of it was published and written
 */
function publish(upTo: number): Promise<void> {
  begunAt = performance.now() - (published / rate) * 1000
  const { port1, port2 } = new MessageChannel()
  return new Promise((resolve) => {
    port2.on('message', () => {
      const due = Math.min(upTo, Math.floor(((performance.now() - begunAt) / 1000) * rate))
      while (published < due) feed?.publish(log[published++] as LoggedRevocation)
      if (published < upTo) return void setTimeout(() => port1.postMessage(0), 1)
      port1.close()
      setImmediate(() => setImmediate(resolve))
    })
    port1.postMessage(0)
  })
}

/** Publishes what there is; the first of it, `warm`, only lets the code be compiled. */
async function run(options: { perSecond: number; warm: number; late: number; lost: number }): Promise<Ran> {
  const { perSecond, warm, late, lost } = options
  const { guards = [], taken = NOTHING, stop } = simulated ?? {}
  rate = perSecond
  await publish(warm)
  const trouble = () => {
    for (const guard of guards.slice(0, late)) stop?.(guard, LATE)
    for (const { wire } of guards.slice(late, late + lost)) wire?.destroy()
  }
  setTimeout(trouble, ((log.length - warm) / rate) * 500).unref()
  const before = { ...taken }
  const cpu = process.cpuUsage()
  const start = performance.now()
  await publish(log.length)
  const { user, system } = process.cpuUsage(cpu)
  const after = { ...taken }
  for (const name of Object.keys(NOTHING) as (keyof Taken)[]) after[name] -= before[name]
  return {
    ...{ seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 },
    ...{ published: log.length - warm, taken: after },
  }
}
const NOTHING: Taken = { writes: 0, bytes: 0, deliveries: 0, acknowledgements: 0, lost: 0 }

/** Waits until everybody has what they are to have, then looks at those that kept it. */
async function look(): Promise<Looked> {
  const { guards = [] } = simulated ?? {}
  const kept = guards.filter((one) => one.kept)
  const newest = (api: number) => log.findLast((one) => isFor(one, api))?.seq ?? 0
  const due = kept.map((guard) => ({ guard, seq: newest(guard.api) }))
  const end = performance.now() + PATIENCE
  const back = () => feed?.guards().length === guards.length
  const whole = () => back() && due.every(({ guard, seq }) => guard.seq >= seq)
  while (!whole() && performance.now() < end) await pause(20)
  const looked = kept.map((guard) => lookAt(guard, log, (seq) => begunAt + (seq / rate) * 1000))
  // Those that had no trouble come last.
  const sound = looked.slice(-Math.ceil(looked.length / 3))
  return {
    views: looked.length,
    whole: looked.filter((one) => one.whole).length,
    due: looked.reduce((sum, one) => sum + one.due, 0),
    applied: looked.reduce((sum, one) => sum + one.applied, 0),
    again: looked.reduce((sum, one) => sum + one.again, 0),
    took: sound.map((one) => one.took).filter(Number.isFinite),
    delays: sound.flatMap((one) => one.delays),
    missing: looked.flatMap((one) => one.missing ?? []),
    guards: feed?.guards().length ?? 0,
  }
}

serveCommands({
  start,
  listen,
  run,
  look,
  connected: () => feed?.guards().length ?? 0,
  resident: () => used().resident,
  clock: () => ticks(),
  begun: () => ticks() - (performance.now() - begunAt) * 1e6,
})
