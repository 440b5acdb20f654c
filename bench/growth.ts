import type { Config } from '../packages/authority/src/config.ts'
import { type Ground, startGround } from './ground.ts'
import type { Run } from './load.ts'
import { shuffled, summary } from './measure.ts'
import type { Row } from './results.ts'
import { fillRows } from './rows.ts'
import type { BenchOptions, Measured } from './run.ts'
import { endingRuns, introspectionRuns, V1_REVOKE } from './runs.ts'
import { inTurns } from './turns.ts'
import { canPin, startWorker } from './worker.ts'

/* Whether revoking and introspecting take longer the more sessions there are. */

type Sizes = { sessions: number[]; used: number; seconds: number }
const FULL: Sizes = { sessions: [10_000, 100_000, 1_000_000, 5_000_000], used: 8_000, seconds: 2 }
const QUICK: Sizes = { sessions: [200, 1_000], used: 80, seconds: 0.2 }

type Part = 'revoke' | 'introspect'
/** What was measured at one size. */
type At = { sessions: number; disk: string } & Record<Part, Run[]>

/** `npm run bench -- growth` */
export async function growth({ quick, progress }: BenchOptions): Promise<Measured> {
  const sizes = quick ? QUICK : FULL
  const all = await measureAll(sizes, progress.say)
  return { rows: rowsOf(all), notes: notesOf(sizes, `${all.at(-1)?.disk}`) }
}

/** A server for each size, asked in turns: a machine that is slower for a while is so for all of them. */
export async function measureAll(sizes: Sizes, say: (what: string) => void): Promise<At[]> {
  const none = { issued: 0, revoked: 0, live: 0, refreshable: true }
  const load = startWorker('load-process.ts', [])
  const grounds: Ground[] = []
  try {
    for (const sessions of sizes.sessions) {
      const fillWith = (config: Config, resource: string) =>
        fillRows(config, resource, { sessions, used: sizes.used }, say)
      grounds.push(await startGround(none, say, undefined, { fillWith, pinned: canPin() }))
    }
    say('revoking and introspecting')
    const asked = grounds.map((ground) => ({
      under: { ground, load, seconds: sizes.seconds },
      // From anywhere among all of them.
      live: shuffled(ground.live),
    }))
    const introspect = await inTurns(asked.map(({ under, live }) => introspectionRuns(under, live)))
    const revoke = await inTurns(asked.map(({ under, live }) => endingRuns(under, live, V1_REVOKE)))
    return grounds.map(({ disk }, n) => ({
      ...{ sessions: sizes.sessions[n] as number, disk },
      ...{ introspect: introspect[n] as Run[], revoke: revoke[n] as Run[] },
    }))
  } finally {
    await load.stop()
    for (const ground of grounds) await ground.stop()
  }
}

export function rowsOf(all: At[]): Row[] {
  const [fewest] = all
  const rows: Row[] = []
  for (const part of ['revoke', 'introspect'] as const) {
    for (const [what, unit, of, slower] of MEASURES) {
      const base = summary((fewest as At)[part].map(of)).value
      for (const at of all) {
        const found = summary(at[part].map(of))
        const row = { what: `${part} among ${at.sessions.toLocaleString('en-US')} live sessions, ${what}` }
        if (at === fewest) rows.push({ ...row, ...found, unit })
        else rows.push({ ...row, ...found, unit, ratio: found.value / base, target: slower })
      }
    }
  }
  return rows
}

const MEASURES: [what: string, unit: string, of: (one: Run) => number, target: string][] = [
  ['rate', '/s', ({ rate }) => rate, '≥ 0.67 ×'],
  ['p99', 'ms', ({ p99 }) => p99, '≤ 1.5 ×'],
  ['CPU of the server', 'µs', ({ serverCpu, count }) => (1e6 * serverCpu) / count, '≤ 1.5 ×'],
]

export function notesOf({ used, sessions: [fewest = 0] }: Sizes, disk: string): string[] {
  const count = (number: number) => number.toLocaleString('en-US')
  return [
    `the ratio is to ${count(fewest)} sessions; each size is a store and a server of its own, asked over 50 connections as in the benchmarks of the endpoints`,
    `${count(used)} of the sessions, evenly from among all, are used, in random order; the others are rows as the store writes them, with an access token and an audit record each, whose secrets nobody knows: put there by what fills a store from an export (bench/rows.ts)`,
    'every answer was 200; afterwards each token that was revoked is refused, and those that were not are not',
    `the store is on ${disk}`,
  ]
}
