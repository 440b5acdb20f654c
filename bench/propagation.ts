import { bareSockets } from './bare.ts'
import type { Opened } from './fill.ts'
import { type Ground, GUARD, RESOURCE, startGround } from './ground.ts'
import type { Watched } from './guards-process.ts'
import { acrossRuns, ticks } from './measure.ts'
import { counted, type Row } from './results.ts'
import { createRevoker, type Revoker } from './revoke.ts'
import type { BenchOptions, Measured } from './run.ts'
import { startWorker, type Worker } from './worker.ts'

type Case = {
  guards: number
  /** Revocations before any guard is there, and then with all of them: what is measured is not how code warms up. */
  warmUp: [number, number]
  runs: number
  each: number
  half?: string
  most?: string
}

const FULL: Case[] = [
  { guards: 10, warmUp: [2_000, 500], runs: 3, each: 150, half: '≤ 1.5 ms', most: '≤ 5 ms' },
  { guards: 1_000, warmUp: [2_000, 30], runs: 3, each: 40, half: '≤ 15 ms', most: '≤ 40 ms' },
]
const QUICK: Case[] = [
  { guards: 2, warmUp: [5, 2], runs: 3, each: 3 },
  { guards: 5, warmUp: [5, 2], runs: 3, each: 2 },
]

/** How long nothing happens before a revocation, in ms, at random between the two: in step with no timer. */
const GAITS = { 'back to back': [0, 0], 'after 15–30 ms of quiet': [15, 30] } as const
type Gait = keyof typeof GAITS

const MS = 1e6
const BARE =
  'one write of the same length to each of as many TCP connections, read by another process; no WebSocket, no check, nothing durable'

/** What one revocation took, in ms, and at how many guards the token was accepted before and refused after. */
type Revocation = {
  answer: number
  first: number
  all: number
  accepted: number
  refused: number
  late: number
}

/** `npm run bench -- propagation` */
export async function propagation({ quick, progress }: BenchOptions): Promise<Measured> {
  const cases = quick ? QUICK : FULL
  const rows: Row[] = []
  const notes = [
    'time runs from just before POST /v1/revoke is sent; p50 and p99 are of all revocations of a row; spread: the smallest and the largest of what its three runs give alone',
    'a guard refuses when its check of the token has thrown, for a token that it let through just before; the slowest guard counts',
    `bare TCP, back to back: ${BARE}`,
    'one revocation at a time, over one kept HTTP connection, access and refresh token together; back to back: the next one starts when every guard has refused the one before and has let the next token through',
  ]
  for (const one of cases) {
    const [alone, together] = one.warmUp
    const live = alone + together + one.runs * one.each * Object.keys(GAITS).length
    const ground = await startGround({ issued: live, revoked: 0, live, refreshable: true }, progress.say)
    try {
      const measured = await measureCase(one, ground, progress.say)
      progress.say(`${one.guards} bare TCP connections`)
      const bare = await bareSockets(one.guards, one.each)
      for (const [gait, runs] of measured.gaits) rows.push(...rowsOf(one, gait, runs, bare))
      notes.push(
        `${one.guards.toLocaleString('en-US')} guards in one process: ${measured.clocks}; ${ground.disk}`,
      )
    } finally {
      await ground.stop()
    }
  }
  return { rows, notes }
}

async function measureCase(one: Case, ground: Ground, say: (what: string) => void) {
  const { guards, warmUp } = one
  const worker = startWorker('guards-process.ts', [])
  const revoker = createRevoker(ground.issuer)
  const left = [...ground.live]
  try {
    say(`${guards} guards: warming up the authority`)
    for (const tokens of left.splice(0, warmUp[0])) await revoker.revoke(tokens)
    say(`starting ${guards} guards`)
    const api = { issuer: ground.issuer, resource: RESOURCE, credentials: GUARD }
    await worker.ask({ do: 'start', count: guards, ...api })
    // Each guard lets each token through once before: its signature is verified, as that of a token in use is.
    for (const [i, { accessToken }] of left.entries()) {
      if (i % 10 === 0) say(`${guards} guards: verifying ${i} of ${left.length} tokens`)
      await worker.ask({ do: 'accept', token: accessToken })
    }
    const clocks = await compareClocks(worker)
    for (const tokens of left.splice(0, warmUp[1])) await revokeOne(tokens, 'back to back', worker, revoker)
    const gaits = new Map<Gait, Revocation[][]>()
    for (const gait of Object.keys(GAITS) as Gait[]) {
      const runs: Revocation[][] = []
      for (let run = 1; run <= one.runs; run++) {
        say(`${guards} guards, ${gait}: run ${run} of ${one.runs}`)
        const times: Revocation[] = []
        for (const tokens of left.splice(0, one.each))
          times.push(await revokeOne(tokens, gait, worker, revoker))
        runs.push(times)
      }
      gaits.set(gait, runs)
    }
    return { gaits, clocks }
  } finally {
    revoker.close()
    await worker.stop()
  }
}

async function revokeOne(tokens: Opened, gait: Gait, worker: Worker, revoker: Revoker): Promise<Revocation> {
  const { accessToken } = tokens
  const accepted = await worker.ask<number>({ do: 'accept', token: accessToken })
  await worker.ask({ do: 'arm', token: accessToken })
  const [least, most] = GAITS[gait]
  if (most > 0) await new Promise((resolve) => setTimeout(resolve, least + (most - least) * Math.random()))
  const start = ticks()
  await revoker.revoke(tokens)
  const answer = (ticks() - start) / MS
  const { refusedAt, late, missing } = await worker.ask<Watched>({ do: 'outcome' })
  if (missing.length > 0)
    throw new Error(`${missing.length} guards did not refuse in time, the first one says ${missing[0]}`)
  const [first = Number.NaN, last = Number.NaN] = [refusedAt[0], refusedAt.at(-1)]
  return {
    ...{ answer, first: (first - start) / MS, all: (last - start) / MS },
    ...{ accepted, refused: refusedAt.length, late },
  }
}

/**
 * Both processes read one clock, or the times of one would mean nothing to the other: what the other one read lies
 * between what we read before and after.
 */
async function compareClocks(worker: Worker): Promise<string> {
  let outside = 0
  let shortest = Number.POSITIVE_INFINITY
  for (let i = 0; i < 200; i++) {
    const before = ticks()
    const there = await worker.ask<number>({ do: 'clock' })
    const after = ticks()
    if (there < before || there > after) outside++
    shortest = Math.min(shortest, after - before)
  }
  if (outside > 0)
    throw new Error(`the clocks of two processes differ: ${outside} of 200 readings are impossible`)
  return `its clock is the one here, 200 of 200 readings in order, the tightest within ${(shortest / 1e3).toFixed(0)} µs`
}

type Bare = Awaited<ReturnType<typeof bareSockets>>

/** The same number of connections without all that we are: beside it, because the machine has a say in it. */
function besideBare(row: Row, share: number, bare: Bare): Row {
  const peer = { name: 'bare TCP', configuration: BARE, ...bare(share) }
  return { ...row, peer, ratio: row.value / peer.value }
}

function rowsOf({ guards, half, most }: Case, gait: Gait, runs: Revocation[][], bare: Bare): Row[] {
  const at = `${guards.toLocaleString('en-US')} guards, ${gait}`
  const of = (pick: (one: Revocation) => number, share: number) =>
    acrossRuns(
      runs.map((run) => run.map(pick)),
      share,
    )
  const row = (what: string, pick: (one: Revocation) => number, share: number, target?: string): Row => ({
    ...{
      what: `${at}: ${what}, p${share * 100}`,
      unit: 'ms',
      ...of(pick, share),
      ...(target ? { target } : {}),
    },
  })
  const all = runs.flat()
  const sum = (pick: (one: Revocation) => number) => all.reduce((total, one) => total + pick(one), 0)
  const count = (what: string, value: number, of: number) => counted(`${at}: ${what}`, value, of)
  return [
    besideBare(
      row('until all guards refuse', (one) => one.all, 0.5, half),
      0.5,
      bare,
    ),
    besideBare(
      row('until all guards refuse', (one) => one.all, 0.99, most),
      0.99,
      bare,
    ),
    row('until the first guard refuses', (one) => one.first, 0.5),
    row('until the durable answer', (one) => one.answer, 0.5),
    row('until the durable answer', (one) => one.answer, 0.99),
    count(
      'let through before, of all guards and revocations',
      sum((one) => one.accepted),
      all.length * guards,
    ),
    count(
      'refused after, of all guards and revocations',
      sum((one) => one.refused),
      all.length * guards,
    ),
    count(
      'let through after the guard had heard',
      sum((one) => one.late),
      0,
    ),
  ]
}
