import { CONNECTIONS, RUNS, type Run, rowsOf, run as runAgainst } from './load.ts'
import type { Load } from './load-process.ts'
import { checkTokens } from './peer-checks.ts'
import { type Ask, PEERS, type Peer, type PeerOperation, type Place } from './peer-list.ts'
import { type Pair, type PeerServer, startPeer } from './peer-process.ts'
import { installPeers } from './peers.ts'
import type { Row } from './results.ts'
import type { BenchOptions, Measured } from './run.ts'
import { inTurns, type Runs } from './turns.ts'
import { canPin, startWorker, type Worker } from './worker.ts'

/* The same operations by other servers: one process on one core, under the load that the authority gets. */

const SPARE = 50

export type PeerRuns = {
  peer: Peer
  operation: PeerOperation
  runs: Runs
  /** What it does not do, as a check in the same process shows once its runs are over. */
  doesNot: string[]
}

type Under = { server: PeerServer; load: Worker; ask: Ask; seconds: number; quick: boolean }
/** One run; every answer has to be 200. */
function run({ server, load, ask }: Under, what: Pick<Load, 'bodies' | 'seconds' | 'chain'>): Promise<Run> {
  const { path, headers, bearer } = ask
  const { port, pid } = server
  const ground = { issuer: `http://127.0.0.1:${port}`, pid }
  return runAgainst({ ground, load }, { path, headers, bearer, ...what })
}

const accessOf = (pairs: Pair[]) => pairs.map(({ accessToken }) => accessToken)
const refreshOf = (pairs: Pair[]) => pairs.map(({ refreshToken }) => `${refreshToken}`)
const some = <T>(items: T[]) => items.filter((_, n) => n % Math.ceil(items.length / SPARE) === 0)

async function* revoke(under: Under): Runs {
  const { server, ask, quick } = under
  const spare = await server.issue(SPARE)
  const dead: Pair[] = []
  for (let n = 0; n <= RUNS; n++) {
    const pairs = await server.issue(quick ? 100 : server.peer.revocations)
    const one = await run(under, { bodies: refreshOf(pairs).map((token) => ask.before + token) })
    dead.push(...some(pairs))
    // The first warms up.
    if (n > 0) yield one
  }
  const all = (pairs: Pair[]) => [...accessOf(pairs), ...refreshOf(pairs)]
  await checkTokens(server, all(dead), all(spare))
}

/** Tokens that are asked for again and again: introspected, or shown as a bearer. */
async function* repeat(under: Under): Runs {
  const { server, ask, seconds, quick } = under
  const pairs = await server.issue(quick ? 200 : 20_000)
  const bodies = accessOf(pairs).map((token) => ask.before + token)
  for (let n = 0; n <= RUNS; n++) {
    const one = await run(under, { bodies, seconds })
    if (n > 0) yield one
  }
  const spare = some(accessOf(pairs.slice(1)))
  const dead = pairs.slice(0, 1)
  if (server.peer.asks.revoke) await server.send('revoke', `${refreshOf(dead)}`)
  else await server.ask({ do: 'revoke', accessTokens: accessOf(dead) })
  await checkTokens(server, accessOf(dead), spare)
}

async function* refresh(under: Under): Runs {
  const { server, ask, seconds, quick } = under
  const pairs = await server.issue(quick ? 2_000 : 10_000)
  let bodies = refreshOf(pairs)
  let access: string[] = []
  const used: string[] = []
  for (let n = 0; n <= RUNS; n++) {
    const one = await run(under, { bodies, seconds, chain: { before: ask.before, after: '' } })
    if (new Set(one.last).size !== bodies.length) throw new Error(`two sessions have the same refresh token`)
    const changed = bodies.filter((token, at) => one.last[at] !== token)
    used.push(...some(changed).slice(0, 10))
    access = one.access.filter(Boolean)
    bodies = one.last
    if (n > 0) yield one
  }
  await checkTokens(server, used, [...some(access), ...some(bodies)])
}

const WORK: Record<PeerOperation, (under: Under) => Runs> = {
  ...{ revoke, introspect: repeat, refresh, check: repeat },
}

/** On a new store of its own. */
async function* runsOf(
  { peer, operation, doesNot }: Omit<PeerRuns, 'runs'>,
  { quick, progress }: BenchOptions,
): Runs {
  const place = await peer.place()
  const load = startWorker('load-process.ts', [])
  let server: PeerServer | undefined
  try {
    server = await startPeer(peer, place.open)
    const under = { server, load, ask: peer.asks[operation] as Ask, seconds: quick ? 0.3 : 3, quick }
    progress.say(`${operation}: ${peer.name}`)
    for await (const one of WORK[operation](under)) {
      yield one
      progress.say(`${operation}: ${peer.name}`)
    }
    doesNot.push(...(await lacksOf(server, place, progress.say)))
  } catch (error) {
    throw new Error(`${peer.name}: ${(error as Error).message}`, { cause: error })
  } finally {
    await server?.stop()
    await load.stop()
    await place.stop()
  }
}

const lacking = new Map<string, string[]>()

/** Asked once, however many operations are measured: it takes half a minute. */
async function lacksOf(server: PeerServer, place: Place, say: (what: string) => void): Promise<string[]> {
  const { peer } = server
  const known = lacking.get(peer.name)
  if (known) return known
  say(`${peer.name}, what it does not do`)
  const found = await peer.lacks(server, place)
  lacking.set(peer.name, found)
  return found
}

/** Each peer that has this operation; it starts with its first run. */
export function peerRuns(operation: PeerOperation, options: BenchOptions): PeerRuns[] {
  installPeers()
  return PEERS.filter(({ asks }) => asks[operation]).map((peer) => {
    const which = { peer, operation, doesNot: [] }
    return { ...which, runs: runsOf(which, options) }
  })
}

const NAMES: Record<PeerOperation, string> = {
  ...{ revoke: 'revoke a session', introspect: 'introspect, authenticated' },
  ...{ refresh: 'refresh grant, rotated', check: 'check a bearer token over HTTP' },
}

function peerRows({ peer: { name, durable }, operation }: PeerRuns, runs: Run[]): Row[] {
  const kind = operation === 'check' ? '' : durable ? ', durable' : ', not durable'
  return rowsOf(`${NAMES[operation]}, ${name}${kind}`, runs, {})
}

/** How a peer was set up, and what it does not do. */
export function notesOf({ peer: { name, configuration }, doesNot }: PeerRuns): string[] {
  return [configuration, ...doesNot].map((note) => `${name}: ${note}`)
}

/** `npm run bench -- peers` */
export async function peers(options: BenchOptions): Promise<Measured> {
  if (!options.peers) return { rows: [], notes: ['the peers were left out: --no-peers'] }
  const measured: PeerRuns[] = []
  const rows: Row[] = []
  for (const operation of Object.keys(WORK) as PeerOperation[]) {
    const peers = peerRuns(operation, options)
    const found = await inTurns(peers.map(({ runs }) => runs))
    rows.push(...peers.flatMap((one, n) => peerRows(one, found[n] as Run[])))
    measured.push(...peers)
  }
  const pinned = canPin()
    ? 'each server is one process, held on one core (taskset)'
    : 'each server is one process, not held on one core: there is no taskset'
  return {
    rows,
    notes: [
      `${pinned}; the load is a process of its own, ${CONNECTIONS} kept connections, each waits for its answer; the median of ${RUNS} runs after one that warms up, with the smallest and the largest`,
      'every answer was 200; afterwards what was revoked or used is refused, and what was not is not, asked over HTTP; what is durable was asked again after kill -9, and PostgreSQL after a crash of its own',
      // Each was asked in each of its runs: once is enough to read.
      ...[...new Map(measured.map((one) => [one.peer.name, one])).values()].flatMap(notesOf),
    ],
  }
}
