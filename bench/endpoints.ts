import { readFileSync } from 'node:fs'
import { type Postgres, startPostgres } from '../test/postgres.ts'
import type { Opened } from './fill.ts'
import { type Ground, GUARD, startGround } from './ground.ts'
import type { Load, Loaded } from './load-process.ts'
import { summary } from './measure.ts'
import type { Row } from './results.ts'
import type { BenchOptions, Measured } from './run.ts'
import { canPin, startWorker, type Worker } from './worker.ts'

/* The hot endpoints over real HTTP: one server process on one core, the load on another. */

const CONNECTIONS = 50
const RUNS = 3
export const JSON_BODY = ['content-type: application/json']
export const FORM = ['content-type: application/x-www-form-urlencoded']
export const API_FORM = [...FORM, `authorization: Basic ${btoa(`${GUARD.clientId}:${GUARD.clientSecret}`)}`]

export type Under = { ground: Ground; load: Worker; seconds: number }

/** CPU of a process so far, in s. */
export function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export type Run = Loaded & { serverCpu: number; rate: number }

/** One run; every answer has to be one that was expected. */
export async function run(
  { ground, load }: Under,
  what: Omit<Load, 'port' | 'host' | 'connections'> & { connections?: number },
  expected = '200',
): Promise<Run> {
  const { port, host } = new URL(ground.issuer)
  const before = cpuOf(ground.pid)
  const loaded = await load.ask<Loaded>({
    do: 'run',
    connections: CONNECTIONS,
    ...what,
    port: Number(port),
    host,
  })
  const wrong = Object.keys(loaded.statuses).filter((status) => status !== expected)
  if (wrong.length > 0)
    throw new Error(`${what.path} answered ${JSON.stringify(loaded.statuses)}: ${loaded.samples[0]}`)
  return { ...loaded, serverCpu: cpuOf(ground.pid) - before, rate: loaded.count / loaded.seconds }
}

function rowsOf(what: string, runs: Run[], targets: { rate?: string; p99?: string; p50?: string }): Row[] {
  const row = (name: string, of: (one: Run) => number, unit: string, target?: string): Row => ({
    ...{ what: `${what}, ${name}`, ...summary(runs.map(of)), unit },
    ...(target === undefined ? {} : { target }),
  })
  return [
    row('rate', ({ rate }) => rate, '/s', targets.rate),
    row('p50', ({ p50 }) => p50, 'ms', targets.p50),
    row('p99', ({ p99 }) => p99, 'ms', targets.p99),
    row('CPU of the server', ({ serverCpu, seconds }) => (100 * serverCpu) / seconds, '%'),
    row('CPU of the load', ({ cpu, seconds }) => (100 * cpu) / seconds, '%'),
  ]
}

export const pairOf = ({ accessToken, refreshToken }: Opened) => JSON.stringify({ accessToken, refreshToken })
export const tokenForm = (token: string) => new URLSearchParams({ token }).toString()

/** Each of these is refused now, and each of those is not: asked one by one, over HTTP. */
async function checkTokens({ ground, load }: Under, dead: string[], live: string[]): Promise<void> {
  const { port, host } = new URL(ground.issuer)
  for (const [tokens, active] of [
    [dead, false],
    [live, true],
  ] as const) {
    for (const token of tokens) {
      const ask = { path: '/oauth/introspect', headers: API_FORM, bodies: [tokenForm(token)], connections: 1 }
      const { samples } = await load.ask<Loaded>({ do: 'run', port: Number(port), host, ...ask })
      if (JSON.parse(`${samples[0]}`).active !== active)
        throw new Error(`a token is called ${active ? 'dead' : 'live'} and is not`)
    }
  }
}

const CHAIN = { before: 'grant_type=refresh_token&client_id=bench-app&refresh_token=', after: '' }

/** The same sessions with tokens that the measured server itself has just issued: what it issued it need not verify. */
async function refreshed(under: Under, some: Opened[]): Promise<Opened[]> {
  const bodies = some.map(({ refreshToken }) => `${refreshToken}`)
  const { last, access } = await run(under, { path: '/oauth/token', headers: FORM, bodies, chain: CHAIN })
  return last.map((refreshToken, n) => ({ accessToken: `${access[n]}`, refreshToken }))
}

async function revoke(
  under: Under,
  live: Opened[],
  name: string,
  targets: { rate: string; p99?: string },
): Promise<Row[]> {
  const spare = live.splice(0, 50)
  const runs: Run[] = []
  const size = Math.floor(live.length / (RUNS + 1))
  const dead: string[] = []
  for (let n = 0; n <= RUNS; n++) {
    const some = await refreshed(under, live.splice(0, size))
    const one = await run(under, { path: '/v1/revoke', headers: JSON_BODY, bodies: some.map(pairOf) })
    dead.push(...some.filter((_, i) => i % Math.ceil(size / 50) === 0).map(({ accessToken }) => accessToken))
    // The first warms up.
    if (n > 0) runs.push(one)
  }
  await checkTokens(
    under,
    dead,
    spare.map(({ accessToken }) => accessToken),
  )
  return rowsOf(name, runs, targets)
}

async function introspect(under: Under, live: Opened[]): Promise<Row[]> {
  const bodies = live.slice(0, 20_000).map(({ accessToken }) => tokenForm(accessToken))
  const what = { path: '/oauth/introspect', headers: API_FORM, bodies }
  await run(under, what)
  const runs: Run[] = []
  for (let n = 0; n < RUNS; n++) runs.push(await run(under, { ...what, seconds: under.seconds }))
  return rowsOf('introspect, authenticated', runs, { rate: '≥ 60,000/s', p99: '≤ 3 ms' })
}

async function refresh(under: Under, live: Opened[]): Promise<Row[]> {
  const runs: Run[] = []
  let bodies = live.map(({ refreshToken }) => `${refreshToken}`)
  for (let n = 0; n <= RUNS; n++) {
    const one = await run(under, {
      path: '/oauth/token',
      headers: FORM,
      bodies,
      chain: CHAIN,
      seconds: under.seconds,
    })
    if (new Set(one.last).size !== bodies.length) throw new Error('two sessions have the same refresh token')
    bodies = one.last
    if (n > 0) runs.push(one)
  }
  return rowsOf('refresh grant, durable, rotated', runs, { rate: '≥ 6,000/s' })
}

async function mcp(under: Under, live: Opened[]): Promise<Row[]> {
  const headers = [
    ...JSON_BODY,
    'accept: application/json, text/event-stream',
    'mcp-protocol-version: 2025-11-25',
  ]
  const call = ({ accessToken, refreshToken }: Opened) =>
    JSON.stringify({
      ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
      params: { name: 'revoke_oauth_tokens', arguments: { accessToken, refreshToken } },
    })
  const runs: Run[] = []
  const size = Math.floor(live.length / (RUNS + 1))
  const dead: string[] = []
  for (let n = 0; n <= RUNS; n++) {
    const some = live.splice(0, size)
    const one = await run(under, { path: '/mcp', headers, bodies: some.map(call) })
    if (!one.samples.every((body) => body.includes('OAuth tokens revoked successfully')))
      throw new Error(`MCP answered ${one.samples[0]}`)
    dead.push(...some.slice(0, 10).map(({ accessToken }) => accessToken))
    if (n > 0) runs.push(one)
  }
  await checkTokens(under, dead, [])
  return rowsOf('MCP revoke_oauth_tokens', runs, { rate: '≥ 5,000/s' })
}

async function oneAtATime(under: Under, live: Opened[]): Promise<Row[]> {
  const runs: Run[] = []
  for (let n = 0; n < RUNS; n++) {
    const some = await refreshed(under, live.splice(0, Math.min(2_000, live.length >> 4)))
    const bodies = some.map(pairOf)
    runs.push(await run(under, { path: '/v1/revoke', headers: JSON_BODY, bodies, connections: 1 }))
  }
  return rowsOf('one revoke in flight, durable', runs, { p50: '≤ 0.5 ms' }).slice(1, 3)
}

type Part = 'revoke' | 'introspect' | 'refresh' | 'mcp'

/** Starts an authority with as many sessions as a part needs, and measures it there. */
export async function measure(
  options: BenchOptions,
  sessions: number,
  work: (under: Under, live: Opened[]) => Promise<Row[]>,
  store?: string,
): Promise<{ rows: Row[]; disk: string }> {
  const amounts = { issued: sessions, revoked: 0, live: sessions, refreshable: true }
  const ground = await startGround(amounts, options.progress.say, undefined, { store, pinned: canPin() })
  const load = startWorker('load-process.ts', [])
  try {
    const under = { ground, load, seconds: options.quick ? 0.3 : 3 }
    return { rows: await work(under, [...ground.live]), disk: ground.disk }
  } finally {
    await load.stop()
    await ground.stop()
  }
}

async function onPostgres(options: BenchOptions): Promise<Row[]> {
  const postgres: Postgres = await startPostgres()
  try {
    const size = options.quick ? 400 : 60_000
    const store = await postgres.newDatabase()
    const targets = { rate: '≥ 10,000/s' }
    return (
      await measure(
        options,
        size,
        (under, live) => revoke(under, live, 'revoke on PostgreSQL', targets),
        store,
      )
    ).rows
  } finally {
    await postgres.stop()
  }
}

/** @param part what to measure */
export function endpoint(part: Part): (options: BenchOptions) => Promise<Measured> {
  return async (options) => {
    const { quick } = options
    const parts: Record<Part, () => Promise<{ rows: Row[]; disk: string }>> = {
      async revoke() {
        const targets = { rate: '≥ 30,000/s', p99: '≤ 6 ms' }
        const { rows, disk } = await measure(options, quick ? 400 : 240_000, async (under, live) => [
          ...(await oneAtATime(under, live)),
          ...(await revoke(under, live, 'revoke, durable, 50 connections', targets)),
        ])
        return { disk, rows: [...rows, ...(await onPostgres(options))] }
      },
      introspect: () => measure(options, quick ? 200 : 20_000, introspect),
      refresh: () => measure(options, quick ? 200 : 10_000, refresh),
      mcp: () => measure(options, quick ? 400 : 60_000, mcp),
    }
    const { rows, disk } = await parts[part]()
    const pinned = canPin()
      ? 'the server is held on one core (taskset)'
      : 'the server is not held on one core: there is no taskset'
    const notes = [
      `${pinned}; the load is a process of its own, ${CONNECTIONS} kept connections, each waits for its answer; the median of ${RUNS} runs after one that warms up, with the smallest and the largest`,
      `the store is on ${disk}`,
      'every answer was 200; afterwards what was revoked is refused, and what was not is not, asked over HTTP',
    ]
    return { rows, notes }
  }
}
