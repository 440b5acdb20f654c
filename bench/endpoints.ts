import { type Postgres, startPostgres } from '../test/postgres.ts'
import { bareOf, bareRuns } from './bare-http.ts'
import type { Opened } from './fill.ts'
import {
  CONNECTIONS,
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
import { notesOf, type PeerRuns, peerRuns } from './peer-servers.ts'
import { counted, type Peer, type Row } from './results.ts'
import type { BenchOptions, Measured } from './run.ts'
import { type Asked, type Call, endingRuns, introspectionRuns, refreshRuns, V1_REVOKE } from './runs.ts'
import { inTurns, type Runs } from './turns.ts'
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

/** What to measure at once: the same by node:http alone and by peers, in turns. */
type Beside = {
  runs: Runs
  name: string
  targets: { rate: string; p99?: string }
  peers?: PeerRuns[]
  /** What is seen once the runs are over. */
  asked?: Asked[]
}

async function beside(under: Under, { runs, name, targets, peers = [], asked = [] }: Beside): Promise<Row[]> {
  const [ours = [], bare = [], ...theirs] = await inTurns([
    runs,
    bareRuns(under),
    ...peers.map((one) => one.runs),
  ])
  const rows = rowsOf(name, ours, targets, bareOf(bare))
  const counts = asked.flatMap(({ dead, refused, live, accepted }) => [
    counted(`${name}: revoked, and refused afterwards`, refused, dead),
    counted(`${name}: not revoked, and accepted afterwards`, accepted, live),
  ])
  const peerRows = peers.map((peer, n) => besidePeer(rows[0] as Row, peer, theirs[n] as Run[]))
  return [...rows, ...counts, ...peerRows]
}

/** Each with a token that the server has just issued, when indexes have followed. */
function revocations(under: Under, live: Opened[], asked: Asked[]): Runs {
  async function prepare(some: Opened[]) {
    const issued = await refreshed(under, some)
    await settled(under)
    return issued
  }
  return endingRuns(under, live, V1_REVOKE, { prepare, asked })
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

const ON_POSTGRES = 'on PostgreSQL'

async function onPostgres(options: BenchOptions): Promise<Row[]> {
  const postgres: Postgres = await startPostgres()
  try {
    const targets = { rate: '≥ 10,000/s' }
    // Like beside like: the other row of that peer has ours on SQLite.
    const all = options.peers ? peerRuns('revoke', options) : []
    const peers = all.filter(({ peer }) => peer.name.endsWith(ON_POSTGRES))
    const asked: Asked[] = []
    const work = (under: Under, live: Opened[]) => {
      const runs = revocations(under, live, asked)
      return beside(under, { runs, name: `revoke ${ON_POSTGRES}`, targets, peers, asked })
    }
    return (await measure(options, options.quick ? 400 : 60_000, work, await postgres.newDatabase())).rows
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

/** Our rate beside theirs. */
function besidePeer({ what, value, unit, spread }: Row, { peer, operation }: PeerRuns, theirs: Run[]): Row {
  const rate = summary(theirs.map((one) => one.rate))
  const { name, configuration, durable } = peer
  const { durable: least, inMemory } = RATIOS[operation as keyof typeof RATIOS]
  const target = what.includes(ON_POSTGRES) ? undefined : durable ? least : inMemory
  const other: Peer = { name: `${name}${durable ? '' : ', not durable'}`, configuration, ...rate }
  return { what, value, unit, spread, peer: other, ratio: value / rate.value, ...(target ? { target } : {}) }
}

const ISSUED =
  'the revoked tokens were issued by the measured server, a moment before: it need not verify what it signed itself (one that another process, or it before a restart, has issued costs an EdDSA verification more)'
const REFUSED =
  'every answer was 200; afterwards each token that was revoked is refused, and what was not is not, asked over HTTP'

/** What a reader has to know of the tokens, and what was seen to be right. */
const NOTES: Record<Part, string[]> = {
  revoke: [ISSUED, REFUSED],
  introspect: [
    'each token was asked for once before, so its signature is verified already: the first time costs an EdDSA verification more',
    'every answer was 200, and said that the token is active',
  ],
  refresh: [
    'each refresh signs a JWT (EdDSA); the peers’ access tokens are opaque',
    'every answer was 200, and no two sessions had the same refresh token afterwards',
  ],
  mcp: [ISSUED, REFUSED],
}

/** @param part what to measure */
export function endpoint(part: Part): (options: BenchOptions) => Promise<Measured> {
  return async (options) => {
    const { quick } = options
    const asked: Asked[] = []
    const peers = part === 'mcp' || !options.peers ? [] : peerRuns(part, options)
    const parts: Record<Part, () => Promise<{ rows: Row[]; disk: string }>> = {
      async revoke() {
        const targets = { rate: '≥ 30,000/s', p99: '≤ 6 ms' }
        const name = 'revoke, durable, 50 connections'
        const { rows, disk } = await measure(options, quick ? 600 : 166_000, async (under, live) => [
          ...(await oneAtATime(under, live)),
          ...(await sustained(under, live.splice(0, quick ? 120 : 60_000))),
          ...(await beside(under, { runs: revocations(under, live, asked), name, targets, peers, asked })),
        ])
        return { disk, rows: [...rows, ...(await onPostgres(options))] }
      },
      introspect: () =>
        measure(options, quick ? 200 : 20_000, (under, live) => {
          const targets = { rate: '≥ 60,000/s', p99: '≤ 3 ms' }
          const runs = introspectionRuns(under, live)
          return beside(under, { runs, name: 'introspect, authenticated', targets, peers })
        }),
      refresh: () =>
        measure(options, quick ? 200 : 10_000, (under, live) => {
          const targets = { rate: '≥ 6,000/s' }
          const runs = refreshRuns(under, live)
          return beside(under, { runs, name: 'refresh grant, durable, rotated', targets, peers })
        }),
      mcp: () =>
        measure(options, quick ? 400 : 60_000, (under, live) => {
          const targets = { rate: '≥ 5,000/s' }
          const runs = endingRuns(under, live, MCP, { prepare: (some) => refreshed(under, some), asked })
          return beside(under, { runs, name: 'MCP revoke_oauth_tokens', targets, asked })
        }),
    }
    const { rows, disk } = await parts[part]()
    const pinned = canPin()
      ? 'the server is held on one core (taskset)'
      : 'the server is not held on one core: there is no taskset'
    const notes = [
      `${pinned}; the load is a process of its own, ${CONNECTIONS} kept connections, each waits for its answer; the median of ${RUNS} runs after one that warms up, with the smallest and the largest`,
      'what is compared was measured in turns, a run of each after the other, on the same core: how fast a machine is changes within minutes',
      `the store is on ${disk}`,
      'the targets are of a machine on which node:http alone did about 70,000/s; hold the ratio against that',
      ...NOTES[part],
    ]
    return { rows, notes: [...notes, ...peers.flatMap(notesOf)] }
  }
}
