import { readdirSync, readFileSync } from 'node:fs'
import { Client } from 'pg'
import { type Postgres, startPostgres } from '../test/postgres.ts'
import type { Opened } from './fill.ts'
import {
  API_FORM,
  cpuOf,
  FORM,
  JSON_BODY,
  measure,
  pairOf,
  RUNS,
  type Run,
  run,
  tokenForm,
  type Under,
} from './load.ts'
import { summary } from './measure.ts'
import type { Row } from './results.ts'
import type { BenchOptions, Measured } from './run.ts'

/* What each operation costs on PostgreSQL: the authority’s CPU, the database’s, and what it writes. */

type Cost = { run: Run; database: number; wal: number }

/** CPU so far of the server and of all that it has started, in s. */
export function cpuOfAll(pid: number): number {
  let sum = 0
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const parent = Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1])
      if (parent === pid || Number(name) === pid) sum += cpuOf(Number(name))
    } catch {
      // It has ended meanwhile.
    }
  }
  return sum
}

async function costOf(postgres: Postgres, client: Client, work: () => Promise<Run>): Promise<Cost> {
  const lsn = async () =>
    (await client.query("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS at")).rows[0].at
  const [cpu, wal] = [cpuOfAll(postgres.pid), Number(await lsn())]
  const done = await work()
  return { run: done, database: cpuOfAll(postgres.pid) - cpu, wal: Number(await lsn()) - wal }
}

function rowsOf(what: string, costs: Cost[]): Row[] {
  const row = (name: string, of: (cost: Cost) => number, unit: string): Row => ({
    ...{ what: `${what}, ${name}`, ...summary(costs.map(of)), unit },
  })
  return [
    row('rate', ({ run: { rate } }) => rate, '/s'),
    row('p99', ({ run: { p99 } }) => p99, 'ms'),
    row('CPU of the authority', ({ run: { serverCpu, count } }) => (1e6 * serverCpu) / count, 'µs'),
    row('CPU of the database', ({ run: { count }, database }) => (1e6 * database) / count, 'µs'),
    row('written ahead', ({ run: { count }, wal }) => wal / count, 'bytes'),
  ]
}

/** What the tables take on disk, with their indexes, a session. */
async function sizes(client: Client, sessions: number): Promise<Row[]> {
  const { rows } = await client.query(
    `SELECT t AS name, CASE WHEN t = 'sessions' THEN pg_total_relation_size(t::regclass) ELSE
       (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = t::regclass) END AS bytes
     FROM unnest(ARRAY['sessions', 'revocations', 'audit']) AS t`,
  )
  return rows.map(({ name, bytes }) => ({
    ...{
      what: `${name} on disk, a session that was opened, refreshed or ended`,
      value: Number(bytes) / sessions,
    },
    ...{ unit: 'bytes', spread: '' },
  }))
}

export async function postgres(options: BenchOptions): Promise<Measured> {
  const server = await startPostgres()
  const url = await server.newDatabase()
  const client = new Client({ connectionString: url })
  await client.connect()
  const size = options.quick ? 600 : 60_000
  async function work(under: Under, live: Opened[]): Promise<Row[]> {
    const repeat = async (what: string, one: (n: number) => Promise<Run>) => {
      const costs: Cost[] = []
      for (let n = 0; n <= RUNS; n++) {
        const cost = await costOf(server, client, () => one(n))
        // The first warms up.
        if (n > 0) costs.push(cost)
      }
      return rowsOf(what, costs)
    }
    const bodies = live.slice(0, 5_000).map(({ accessToken }) => tokenForm(accessToken))
    const introspected = await repeat('introspect', () =>
      run(under, { path: '/oauth/introspect', headers: API_FORM, bodies, seconds: under.seconds }),
    )
    const chain = { before: 'grant_type=refresh_token&client_id=bench-app&refresh_token=', after: '' }
    let tokens = live.splice(0, size / 6).map(({ refreshToken }) => `${refreshToken}`)
    const refreshed = await repeat('refresh', async () => {
      const one = await run(under, {
        path: '/oauth/token',
        headers: FORM,
        bodies: tokens,
        chain,
        seconds: under.seconds,
      })
      tokens = one.last
      return one
    })
    const part = Math.floor(live.length / (RUNS + 1))
    const revoked = await repeat('revoke', () =>
      run(under, { path: '/v1/revoke', headers: JSON_BODY, bodies: live.splice(0, part).map(pairOf) }),
    )
    return [...introspected, ...refreshed, ...revoked, ...(await sizes(client, size))]
  }
  try {
    const { rows, disk } = await measure(options, size, work, url)
    const notes = [
      'one authority on one core, PostgreSQL and the load on what is left: on a machine of two cores they take it from each other, so the rates are the lowest and the CPU is what counts',
      `the data is on ${disk}`,
    ]
    return { rows, notes }
  } finally {
    await client.end()
    await server.stop()
  }
}
