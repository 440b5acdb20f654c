import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Ground, startAuthority, startGround } from './ground.ts'
import { summary } from './measure.ts'
import type { Row } from './results.ts'
import { fillRows } from './rows.ts'
import type { BenchOptions, Measured } from './run.ts'

/* What the authority’s process takes of memory when nobody asks it anything, and how soon it is ready. */

const MB = 1e6
/** After it is ready it is left alone for `rest` ms: timers have run. */
const FULL = { sessions: 1_000_000, runs: 3, rest: 3_000 }
const QUICK = { sessions: 3_000, runs: 1, rest: 200 }

/** In bytes and ms; `own` is what is in no file, so that no other process shares it. */
type Rest = { resident: number; own: number; ready: number }

/** Resident memory of a process: all its threads, the store’s too. Linux only. */
function residentOf(pid: number): Pick<Rest, 'resident' | 'own'> {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024
  return { resident: bytes('VmRSS'), own: bytes('RssAnon') }
}

/** `npm run bench -- memory` */
export async function atRest({ quick, progress }: BenchOptions): Promise<Measured> {
  const { say } = progress
  const { sessions, runs, rest } = quick ? QUICK : FULL
  const none = { issued: 1, revoked: 0, live: 0, refreshable: false }
  const empty = await starts(() => startGround(none, say), { runs, rest }, say)
  const fillWith = (config: Parameters<typeof fillRows>[0], resource: string) =>
    fillRows(config, resource, { sessions, used: 1 }, say)
  const full = await starts(() => startGround(none, say, undefined, { fillWith }), { runs, rest }, say)
  const of = `with ${sessions.toLocaleString('en-US')} live sessions`
  const row = (what: string, unit: string, all: number[], target?: string): Row => ({
    ...{ what, unit, ...summary(all), ...(target === undefined ? {} : { target }) },
  })
  const rowsOf = (where: string, { rests }: { rests: Rest[] }, most: string, latest?: string): Row[] => [
    row(`resident memory at rest, ${where}`, 'MB', inMb(rests, 'resident'), most),
    row(`of it in no file, so not shared, ${where}`, 'MB', inMb(rests, 'own')),
    row(`from the start of the process until it is ready, ${where}`, 's', secondsOf(rests), latest),
  ]
  const rows = [...rowsOf('empty store', empty, '≤ 120 MB'), ...rowsOf(of, full, '≤ 600 MB', '≤ 5 s')]
  const notes = [
    `VmRSS of the whole process, ${rest / 1e3} s after it was ready and with nobody asking; the median of ${runs} starts of the same store, with the smallest and the largest`,
    'ready: from just before the process is spawned until /readyz has answered 200, asked every 10 ms; what the system has of the file in memory, it has at each start',
    'the sessions are rows as the store writes them, put there by what fills a store from an export: each with its live access token and its audit record; bench/rows.ts says what is left out',
    `the store is on ${full.disk}`,
  ]
  return { rows, notes }
}

const inMb = (rests: Rest[], what: 'resident' | 'own') => rests.map((one) => one[what] / MB)
const secondsOf = (rests: Rest[]) => rests.map((one) => one.ready / 1e3)

async function starts(
  make: () => Promise<Ground>,
  { runs, rest }: { runs: number; rest: number },
  say: (what: string) => void,
) {
  const ground = await make()
  try {
    await pause(rest)
    const rests: Rest[] = [{ ...residentOf(ground.pid), ready: ground.readyAfter }]
    await ground.halt()
    while (rests.length < runs) {
      say(`starting the authority again: ${rests.length + 1} of ${runs}`)
      const again = await startAuthority(join(ground.folder, 'rescind.json'), ground.issuer, false)
      await pause(rest)
      rests.push({ ...residentOf(again.pid), ready: again.readyAfter })
      await again.stop()
    }
    return { rests, disk: ground.disk }
  } finally {
    await ground.stop()
  }
}
