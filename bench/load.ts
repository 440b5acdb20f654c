import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Opened } from './fill.ts'
import { type Ground, GUARD, startGround } from './ground.ts'
import type { Load, Loaded } from './load-process.ts'
import { summary } from './measure.ts'
import type { Peer, Row } from './results.ts'
import type { BenchOptions } from './run.ts'
import { canPin, startWorker, type Worker } from './worker.ts'

/* One kind of request, over and over, from a process of its own; and what is made of what that took. */

export const CONNECTIONS = 50
export const RUNS = 3
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
  { ground, load }: { ground: Pick<Ground, 'issuer' | 'pid'>; load: Worker },
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

export function rowsOf(
  what: string,
  runs: Run[],
  targets: { rate?: string; p99?: string; p50?: string },
  bare?: Peer,
): Row[] {
  const row = (name: string, of: (one: Run) => number, unit: string, target?: string): Row => ({
    ...{ what: `${what}, ${name}`, ...summary(runs.map(of)), unit },
    ...(target === undefined ? {} : { target }),
  })
  const rate = row('rate', (one) => one.rate, '/s', targets.rate)
  return [
    bare ? { ...rate, peer: bare, ratio: rate.value / bare.value } : rate,
    row('p50', ({ p50 }) => p50, 'ms', targets.p50),
    row('p99', ({ p99 }) => p99, 'ms', targets.p99),
    row('CPU of the server', ({ serverCpu, seconds }) => (100 * serverCpu) / seconds, '%'),
    row('CPU of the load', ({ cpu, seconds }) => (100 * cpu) / seconds, '%'),
  ]
}

export const pairOf = ({ accessToken, refreshToken }: Opened) => JSON.stringify({ accessToken, refreshToken })
export const tokenForm = (token: string) => new URLSearchParams({ token }).toString()

export const CHAIN = { before: 'grant_type=refresh_token&client_id=bench-app&refresh_token=', after: '' }

/** The same sessions with tokens that the measured server itself has just issued: what it issued it need not verify. */
export async function refreshed(under: Under, some: Opened[]): Promise<Opened[]> {
  const bodies = some.map(({ refreshToken }) => `${refreshToken}`)
  const { last, access } = await run(under, { path: '/oauth/token', headers: FORM, bodies, chain: CHAIN })
  return last.map((refreshToken, n) => ({ accessToken: `${access[n]}`, refreshToken }))
}

/** Waits until the indexes that follow behind have caught up (docs/decisions/0022). */
export async function settled({ ground }: Under): Promise<void> {
  const file = join(ground.folder, 'data', 'rescind.db')
  if (!existsSync(file)) return
  const db = new DatabaseSync(file, { readOnly: true })
  const left = db.prepare(
    'SELECT count(*) AS n FROM sessions WHERE ended_seq IS NOT NULL AND settled_seq IS NULL',
  )
  for (let tries = 0; (left.get() as { n: number }).n > 0; tries++) {
    if (tries > 2_400) throw new Error('the indexes do not catch up')
    await sleep(50)
  }
  db.close()
}

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
