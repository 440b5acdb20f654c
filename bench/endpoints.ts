import { type Postgres, startPostgres } from '../test/postgres.ts'
import type { Opened } from './fill.ts'
import {
  bareHttp,
  CHAIN,
  CONNECTIONS,
  FORM,
  JSON_BODY,
  measure,
  pairOf,
  RUNS,
  type Run,
  refreshed,
  rowsOf,
  run,
  settled,
  type Under,
} from './load.ts'
import { summary } from './measure.ts'
import { notesOf, peerRuns } from './peer-servers.ts'
import type { Peer, Row } from './results.ts'
import type { BenchOptions, Measured } from './run.ts'
import { type Call, endingRuns, introspectionRuns, V1_REVOKE } from './runs.ts'
import { canPin } from './worker.ts'

/* The hot endpoints over real HTTP: one server process on one core, the load on another. */

/** What is left when so much comes without a pause that indexes can’t follow behind any more. */
async function sustained(under: Under, live: Opened[]): Promise<Row[]> {
  const some = await refreshed(under, live)
  await settled(under)
  const bodies = some.map(pairOf)
  const most = Math.floor((bodies.length * 5) / 6)
  const what = { path: '/v1/revoke', headers: JSON_BODY }
  await run(under, { ...what, bodies: bodies.slice(0, most) })
  const third = Math.floor((bodies.length - most) / RUNS)
  const runs: Run[] = []
  for (let n = 0; n < RUNS; n++)
    runs.push(await run(under, { ...what, bodies: bodies.slice(most + n * third, most + (n + 1) * third) }))
  return rowsOf('revoke, after 50,000 without a pause', runs, {}).slice(0, 3)
}

async function revoke(
  under: Under,
  live: Opened[],
  name: string,
  targets: { rate: string; p99?: string },
): Promise<Row[]> {
  const bare = await bareHttp(under)
  const runs = await endingRuns(under, live, V1_REVOKE, async (some) => {
    const issued = await refreshed(under, some)
    await settled(under)
    return issued
  })
  return rowsOf(name, runs, targets, bare)
}

async function introspect(under: Under, live: Opened[]): Promise<Row[]> {
  const bare = await bareHttp(under)
  const runs = await introspectionRuns(under, live)
  return rowsOf('introspect, authenticated', runs, { rate: '≥ 60,000/s', p99: '≤ 3 ms' }, bare)
}

async function refresh(under: Under, live: Opened[]): Promise<Row[]> {
  const bare = await bareHttp(under)
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
  return rowsOf('refresh grant, durable, rotated', runs, { rate: '≥ 6,000/s' }, bare)
}

const MCP: Call = {
  path: '/mcp',
  headers: [...JSON_BODY, 'accept: application/json, text/event-stream', 'mcp-protocol-version: 2025-11-25'],
  bodyOf: ({ accessToken, refreshToken }) =>
    JSON.stringify({
      ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
      params: { name: 'revoke_oauth_tokens', arguments: { accessToken, refreshToken } },
    }),
}

async function mcp(under: Under, live: Opened[]): Promise<Row[]> {
  const bare = await bareHttp(under)
  const runs = await endingRuns(under, live, MCP, (some) => refreshed(under, some))
  return rowsOf('MCP revoke_oauth_tokens', runs, { rate: '≥ 5,000/s' }, bare)
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

/** What a ratio to a peer should be at least: to one that answers before it is on disk, and to one that does not. */
const RATIOS: Record<Exclude<Part, 'mcp'>, { durable?: string; inMemory?: string }> = {
  revoke: { durable: '≥ 15 ×', inMemory: '≥ 2.5 ×' },
  introspect: { inMemory: '≥ 5 ×' },
  refresh: { durable: '≥ 4 ×' },
}

/** The same by others, in the same minutes, each beside our rate; and what they do not do. */
async function besidePeers(part: Part, rows: Row[], options: BenchOptions): Promise<Measured> {
  const ours = rows.find(({ what }) => what.endsWith(', rate') && !what.includes('without a pause'))
  if (part === 'mcp' || !options.peers || !ours) return { rows: [], notes: [] }
  const runs = await peerRuns(part, options)
  return {
    rows: runs.map(({ name, configuration, durable, runs: theirs }) => {
      const rate = summary(theirs.map((one) => one.rate))
      const { durable: least, inMemory } = RATIOS[part]
      const target = durable ? least : inMemory
      const peer: Peer = { name: `${name}${durable ? '' : ', not durable'}`, configuration, ...rate }
      const { what, value, unit, spread } = ours
      return { what, value, unit, spread, peer, ratio: value / rate.value, ...(target ? { target } : {}) }
    }),
    notes: runs.flatMap(notesOf),
  }
}

/** @param part what to measure */
export function endpoint(part: Part): (options: BenchOptions) => Promise<Measured> {
  return async (options) => {
    const { quick } = options
    const parts: Record<Part, () => Promise<{ rows: Row[]; disk: string }>> = {
      async revoke() {
        const targets = { rate: '≥ 30,000/s', p99: '≤ 6 ms' }
        const { rows, disk } = await measure(options, quick ? 600 : 166_000, async (under, live) => [
          ...(await oneAtATime(under, live)),
          ...(await sustained(under, live.splice(0, quick ? 120 : 60_000))),
          ...(await revoke(under, live, 'revoke, durable, 50 connections', targets)),
        ])
        return { disk, rows: [...rows, ...(await onPostgres(options))] }
      },
      introspect: () => measure(options, quick ? 200 : 20_000, introspect),
      refresh: () => measure(options, quick ? 200 : 10_000, refresh),
      mcp: () => measure(options, quick ? 400 : 60_000, mcp),
    }
    const { rows, disk } = await parts[part]()
    const beside = await besidePeers(part, rows, options)
    const pinned = canPin()
      ? 'the server is held on one core (taskset)'
      : 'the server is not held on one core: there is no taskset'
    const notes = [
      `${pinned}; the load is a process of its own, ${CONNECTIONS} kept connections, each waits for its answer; the median of ${RUNS} runs after one that warms up, with the smallest and the largest`,
      `the store is on ${disk}`,
      'the revoked tokens were issued by the measured server, a moment before: it need not verify what it signed itself (one that another process, or it before a restart, has issued costs an EdDSA verification more)',
      'the targets are of a machine on which node:http alone did about 70,000/s; hold the ratio against that',
      'every answer was 200; afterwards what was revoked is refused, and what was not is not, asked over HTTP',
    ]
    return { rows: [...rows, ...beside.rows], notes: [...notes, ...beside.notes] }
  }
}
