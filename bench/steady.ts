import { Client } from 'pg'
import { startPostgres } from '../test/postgres.ts'
import type { Opened } from './fill.ts'
import { FORM, measure, run, type Under } from './load.ts'
import type { Row } from './results.ts'
import type { BenchOptions, Measured } from './run.ts'

/* Whether PostgreSQL stays as quick and as small with a million live sessions, while they are refreshed. */

const WINDOWS = 4

type Window = { rate: number; p99: number; bytes: number; dead: number }

/** Sessions that nobody will come back to: as large as one that somebody does. */
const COPIES = `INSERT INTO sessions (sid, sub, client_id, opened_at, state, due_at)
  SELECT lpad(g::text, 22, '0'), s.sub || g, s.client_id, s.opened_at, replace(s.state, s.sid, lpad(g::text, 22, '0')), s.due_at
  FROM (SELECT * FROM sessions LIMIT 1) s, generate_series(1, $1::int) g`

export async function steady(options: BenchOptions): Promise<Measured> {
  const server = await startPostgres()
  const url = await server.newDatabase()
  const client = new Client({ connectionString: url })
  await client.connect()
  const { quick, progress } = options
  const [own, copies, seconds] = quick ? [200, 2_000, 0.3] : [20_000, 980_000, 20]

  async function work(under: Under, live: Opened[]): Promise<Row[]> {
    const chain = { before: 'grant_type=refresh_token&client_id=bench-app&refresh_token=', after: '' }
    let tokens = live.map(({ refreshToken }) => `${refreshToken}`)
    async function window(): Promise<Window> {
      const what = { path: '/oauth/token', headers: FORM, bodies: tokens, chain, seconds }
      const { last, rate, p99 } = await run(under, what)
      tokens = last
      const { rows } = await client.query(
        `SELECT pg_total_relation_size('sessions') AS bytes, n_dead_tup AS dead FROM pg_stat_user_tables
         WHERE relname = 'sessions'`,
      )
      return { rate, p99, bytes: Number(rows[0].bytes), dead: Number(rows[0].dead) }
    }
    await window()
    const few = await window()
    progress.say(`adding ${copies} sessions`)
    await client.query(COPIES, [copies])
    await client.query('ANALYZE sessions')
    const many: Window[] = []
    for (let n = 0; n < WINDOWS; n++) {
      progress.say(`refreshing among ${own + copies} sessions, ${n + 1} of ${WINDOWS}`)
      many.push(await window())
    }
    return rowsOf(few, many, own, own + copies)
  }
  try {
    const { rows, disk } = await measure(options, own, work, url)
    const notes = [
      `windows of ${seconds} s, one after the other, of which the first warms up; autovacuum as PostgreSQL comes; ${own.toLocaleString('en-US')} sessions are refreshed over and over, the others are there`,
      `the data is on ${disk}`,
    ]
    return { rows, notes }
  } finally {
    await client.end()
    await server.stop()
  }
}

function rowsOf(few: Window, many: Window[], own: number, all: number): Row[] {
  const [first, last] = [many[0] as Window, many.at(-1) as Window]
  const count = (sessions: number) => sessions.toLocaleString('en-US')
  const row = (what: string, value: number, unit: string, ratio?: number, target?: string): Row => ({
    ...{ what, value, unit, spread: '' },
    ...(ratio === undefined ? {} : { ratio }),
    ...(target === undefined ? {} : { target }),
  })
  return [
    row(`refreshes among ${count(own)} sessions`, few.rate, '/s'),
    row(`among ${count(all)}, the first window`, first.rate, '/s', first.rate / few.rate, '≥ 0.67 ×'),
    row(`among ${count(all)}, the last window`, last.rate, '/s', last.rate / few.rate, '≥ 0.67 ×'),
    row('p99 there, the last window', last.p99, 'ms', last.p99 / few.p99),
    row('sessions on disk, after the first window', first.bytes / 1e6, 'MB'),
    row('sessions on disk, after the last', last.bytes / 1e6, 'MB', last.bytes / first.bytes),
    row('dead rows then', last.dead, ''),
  ]
}
