import { percentile, spread, summary } from '../measure.ts'
import { counted, type Row } from '../results.ts'
import type { BenchOptions, Measured } from '../run.ts'
import { startWorker } from '../worker.ts'
import { LATE, sweep } from './connections.ts'
import type { Ran, Start, Started } from './feed-process.ts'
import { follow } from './follow.ts'
import type { Looked } from './look.ts'

/*
 * How far the feed goes: so many guards that one process takes, over and over, each of these processes with every
 * revocation. The network is a stub; what a real one costs in addition is measured on fewer guards.
 */

type Say = (what: string) => void
type Sizes = {
  authorities: number
  guards: number
  apis: { all: number; some: number }
  perSecond: number
  seconds: number
  warm: number
  /** Over TCP: so many revocations a second, to guards from few to many. */
  connected: { all: Reach; some: Reach }
  log: number
}
export type Reach = { perSecond: number; guards: number[] }
export const FULL: Sizes = {
  ...{ authorities: 10, guards: 10_000, apis: { all: 10, some: 1_000 } },
  ...{ perSecond: 10_000, seconds: 2, warm: 0.5, log: 50_000 },
  connected: {
    all: { perSecond: 10_000, guards: [200, 400, 600, 800, 1_000] },
    // The busiest second of a billion accounts (docs/scale.md).
    some: { perSecond: 1_900, guards: [1_000, 3_000, 10_000] },
  },
}
const QUICK: Sizes = {
  ...{ authorities: 2, guards: 60, apis: { all: 3, some: 20 } },
  ...{ perSecond: 2_000, seconds: 0.2, warm: 0.1, log: 2_000 },
  connected: { all: { perSecond: 2_000, guards: [20] }, some: { perSecond: 500, guards: [20] } },
}
/** How many APIs a session has tokens for, where not for all. */
const AUDIENCES = 3
/** One in so many guards reads late for a while, and one loses its connection. */
const TROUBLED = 500

type Scenario = { name: string; apis: number; audiences: number }
type One = { started: Started; ran: Ran; looked: Looked }

/** `npm run bench -- scale` */
export async function scale({ quick, progress }: BenchOptions): Promise<Measured> {
  const sizes = quick ? QUICK : FULL
  const { say } = progress
  const [all, some] = scenariosOf(sizes)
  const rows = [
    ...(await stubbed(all, sizes, say)),
    ...(await stubbed(some, sizes, say)),
    ...(await connected(all, sizes, sizes.connected.all, say)),
    ...(await connected(some, sizes, sizes.connected.some, say)),
    ...(await follow(sizes.log, say)).rows,
  ]
  return { rows, notes: notesOf(sizes) }
}

export function scenariosOf({ apis }: Sizes): [Scenario, Scenario] {
  const count = (number: number) => number.toLocaleString('en-US')
  return [
    { name: 'every guard hears of all', apis: apis.all, audiences: apis.all },
    { name: `${AUDIENCES} of ${count(apis.some)} APIs hear of each`, apis: apis.some, audiences: AUDIENCES },
  ]
}

/** One authority after the other, each with its share of the guards: on two cores they can’t all run at once. */
export async function stubbed(scenario: Scenario, sizes: Sizes, say: Say): Promise<Row[]> {
  const all: One[] = []
  for (let n = 1; n <= sizes.authorities; n++) {
    say(`${scenario.name}: ${sizes.guards} guards, authority ${n} of ${sizes.authorities}`)
    all.push(await oneAuthority(scenario, sizes))
  }
  return [...costs(scenario, sizes, all), ...counts(scenario, sizes, all)]
}

async function oneAuthority({ apis, audiences }: Scenario, sizes: Sizes): Promise<One> {
  const { guards, perSecond, seconds, warm } = sizes
  const late = Math.ceil(guards / TROUBLED)
  const lost = late
  const count = Math.round(perSecond * (seconds + warm))
  const worker = startWorker('scale/feed-process.ts', [], { flags: ['--expose-gc'] })
  try {
    const start: Start = { guards, apis, audiences, count, late, lost, looked: Math.min(2, late) }
    const started = await worker.ask<Started>({ do: 'start', ...start })
    const pace = { perSecond, warm: Math.round(perSecond * warm), late, lost }
    const ran = await worker.ask<Ran>({ do: 'run', ...pace })
    return { started, ran, looked: await worker.ask<Looked>({ do: 'look' }) }
  } finally {
    await worker.stop()
  }
}

function costs({ name }: Scenario, { guards, authorities, perSecond }: Sizes, all: One[]): Row[] {
  const of = `${name}, ${(guards * authorities).toLocaleString('en-US')} guards`
  const row = (what: string, unit: string, value: (one: One) => number, target?: string): Row => ({
    ...{ what: `${of}: ${what}`, unit, ...summary(all.map(value)), ...(target ? { target } : {}) },
  })
  const delays = all.map(({ looked }) => percentile(looked.delays, 0.99))
  const took = all.flatMap(({ looked }) => looked.took)
  return [
    row(
      'revocations published',
      '/s',
      ({ ran }) => ran.published / ran.seconds,
      `${perSecond.toLocaleString('en-US')}/s`,
    ),
    row('CPU of an authority', '%', ({ ran }) => (100 * ran.cpu) / ran.seconds),
    row('CPU for a guard and a revocation', 'ns', ({ ran }) => (1e9 * ran.cpu) / ran.taken.deliveries),
    row('bytes for a guard and a revocation', 'bytes', ({ ran }) => ran.taken.bytes / ran.taken.deliveries),
    row('writes of an authority', '/s', ({ ran }) => ran.taken.writes / ran.seconds),
    row('revocations in a write', '', ({ ran }) => ran.taken.deliveries / ran.taken.writes),
    row('acknowledgements', '/s', ({ ran }) => ran.taken.acknowledgements / ran.seconds),
    { what: `${of}: until it is written, p99`, unit: 'ms', ...summary(delays) },
    row('memory of an authority for a guard', 'KB', ({ started }) => started.heap / 1e3),
    { what: `${of}: CPU of a guard for a revocation`, unit: 'µs', ...summary(took.map((ns) => ns / 1e3)) },
  ]
}

function counts({ name }: Scenario, { guards, authorities }: Sizes, all: One[]): Row[] {
  const sum = (of: (one: One) => number) => all.reduce((total, one) => total + of(one), 0)
  const row = (what: string, of: (one: One) => number, target: number) =>
    counted(`${name}: ${what}`, sum(of), target)
  return [
    row(
      'views looked at that have every revocation, once',
      ({ looked }) => looked.whole,
      sum(({ looked }) => looked.views),
    ),
    row(
      'revocations applied in them',
      ({ looked }) => looked.applied,
      sum(({ looked }) => looked.due),
    ),
    row('revocations that came twice', ({ looked }) => looked.again, 0),
    row('guards connected in the end', ({ looked }) => looked.guards, guards * authorities),
  ]
}

/** With the kernel in it, and how many processes that makes for all guards. */
export async function connected(scenario: Scenario, sizes: Sizes, reach: Reach, say: Say): Promise<Row[]> {
  const { seconds, guards, authorities } = sizes
  const { perSecond, guards: on } = reach
  const name = `${scenario.name}, ${perSecond.toLocaleString('en-US')}/s`
  const { rows, carries } = await sweep({ ...scenario, name, perSecond, seconds, sizes: on }, say)
  const of = `${name}, over TCP`
  const most = carries === Math.max(...on) ? 'the most that was tried' : 'the next that was tried was late'
  const kept = { what: `${of}: guards that one process carries`, value: carries, unit: '', spread: most }
  if (carries === 0) return [...rows, { ...kept, spread: `not one of ${spread(on)}` }]
  const needed = Math.ceil((guards * authorities) / carries)
  const all = (guards * authorities).toLocaleString('en-US')
  return [
    ...rows,
    kept,
    { what: `${of}: processes for ${all} guards`, value: needed, unit: '', spread: 'by the row before' },
  ]
}

export function notesOf({ authorities, guards, perSecond, seconds, warm }: Sizes): string[] {
  const count = (number: number) => number.toLocaleString('en-US')
  return [
    `${authorities} processes one after the other, each the feed of one authority with ${count(guards)} guards, the most that it takes, and all ${count(perSecond)} revocations a second for ${seconds} s (after ${warm} s that warm up); the median of them with the smallest and the largest`,
    'the feed, its groups, its WebSockets and its records are the authority’s own; below them is a stub in place of the TCP connection, and what it takes itself is in the CPU; what is read again when a guard comes back comes from memory and not from a database',
    `each guard acknowledges within ${5} ms and pings at each heartbeat; one in ${TROUBLED} reads nothing for 1.5 s, one in ${TROUBLED} loses its connection, and both come back and resume; of these and of those without trouble some are looked at: a real view has applied each revocation of its API once`,
    `over TCP: the authority held on one core, the readers in another process; a number of guards counts as carried when none was dropped and 99 % was read within ${LATE} ms of when it was to be published`,
  ]
}
