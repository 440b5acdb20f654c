import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Contender, Prepare } from './check-process.ts'
import { coldStart } from './cold.ts'
import { type Ground, GUARD, RESOURCE, startGround } from './ground.ts'
import { summary } from './measure.ts'
import { memory } from './memory.ts'
import { installPeers } from './peers.ts'
import { counted, type Peer, type Row } from './results.ts'
import { revokeOver } from './revoke.ts'
import type { BenchOptions, Measured } from './run.ts'
import { canPin, startWorker, type Worker } from './worker.ts'

const FULL = { issued: 1_000_000, revoked: 10_000, small: 10_000, large: 100_000, few: 1_000, late: 500 }
const QUICK = { issued: 10_000, revoked: 100, small: 200, large: 500, few: 100, late: 20 }
type Sizes = typeof FULL

const ROUNDS = 7
/** How long one run is meant to take, in seconds. */
const RUN = 0.4
const MILLION = 1e6

/** Who is measured, on how many tokens, and what it did. */
type Entry = {
  contender: Contender
  count: number
  name: string
  configuration: string
  worker: Worker
  /** How many checks fill a run. */
  length: number
  /** Millions of checks per second: with the strings that were seen before, and with new copies of them. */
  rates: { same: number[]; copies: number[] }
}

/** `npm run bench -- check` */
export async function check(options: BenchOptions): Promise<Measured> {
  const { quick, peers, progress } = options
  const sizes = quick ? QUICK : FULL
  if (peers) installPeers()
  const pinned = canPin()
  const amounts = { issued: sizes.issued, revoked: sizes.revoked, live: sizes.large, refreshable: false }
  const ground = await startGround(amounts, progress.say)
  try {
    const files = writeTokens(ground)
    const entries = await prepareAll(ground, files.live, sizes, { ...options, pinned })
    await measureAll(entries, quick, progress.say)
    const rows = [...checkRows(entries, sizes), ...(await correctness(entries, ground, files.dead, sizes))]
    for (const { worker } of entries) await worker.stop()
    rows.push(...(await memory(sizes.issued, progress.say)))
    rows.push(...(await coldStart(ground, files.dead, { sizes, quick, say: progress.say })))
    return { rows, notes: notes(pinned, ground, entries, quick) }
  } finally {
    await ground.stop()
  }
}

function writeTokens({ folder, live, revoked }: Ground) {
  const files = { live: join(folder, 'live'), dead: join(folder, 'dead') }
  writeFileSync(files.live, live.map(({ accessToken }) => `${accessToken}\n`).join(''))
  writeFileSync(files.dead, revoked.map((token) => `${token}\n`).join(''))
  return files
}

async function prepareAll(
  ground: Ground,
  file: string,
  sizes: Sizes,
  { peers, pinned, progress }: BenchOptions & { pinned: boolean },
): Promise<Entry[]> {
  const { few, small, large } = sizes
  const wanted: [Contender, number][] = [few, small, large].map((count) => ['guard', count])
  wanted.push(['jose', small])
  if (peers) wanted.push(['fast-jwt', few], ['fast-jwt', small], ['fast-jwt', large])
  const entries: Entry[] = []
  for (const [contender, count] of wanted) {
    progress.say(`${contender}: verifying ${count} tokens`)
    const worker = startWorker('check-process.ts', [], {
      pinned,
      flags: ['--disable-warning=FAST_JWT_CACHE_KEY_BUILDER_SECURITY_RISK'],
    })
    const { issuer, publicKey } = ground
    // Twice the room that is needed: nothing is ever pushed out.
    const cacheSize = count * 2
    const api = { issuer, resource: RESOURCE, credentials: GUARD }
    const told: Prepare = { contender, file, count, publicKey, cacheSize, ...api }
    await worker.ask({ do: 'prepare', ...told })
    const length = contender === 'jose' ? 500 : 20_000
    const rates = { same: [], copies: [] }
    entries.push({ contender, count, worker, length, rates, ...described(contender) })
  }
  return entries
}

function described(contender: Contender) {
  if (contender === 'guard') return { name: 'guard', configuration: 'default options' }
  if (contender === 'jose') {
    const configuration = 'Ed25519, key imported before, issuer, audience and typ checked; it keeps no cache'
    return { name: 'jose 6.2.17 jwtVerify', configuration }
  }
  const configuration =
    'Ed25519, synchronous, cache for twice the tokens, cacheKeyBuilder: identity, iss, aud and typ checked'
  return { name: 'fast-jwt 6.3.6', configuration }
}

/** The contenders take turns, so that a slow moment of the machine is nobody's own. */
async function measureAll(entries: Entry[], quick: boolean, say: (what: string) => void) {
  for (const entry of entries) {
    say(`${entry.name}, ${entry.count} tokens: warming up`)
    for (let i = 0; i < (quick ? 1 : 3); i++) {
      const { worker, length } = entry
      const rate = await worker.ask<number>({ do: 'measure', copies: i % 2 === 1, count: length })
      if (!quick) entry.length = Math.ceil(rate * RUN)
    }
  }
  for (let round = 1; round <= (quick ? 3 : ROUNDS); round++) {
    say(`checking: round ${round}`)
    for (const { worker, rates, length: count } of entries) {
      rates.same.push((await worker.ask<number>({ do: 'measure', copies: false, count })) / MILLION)
      rates.copies.push((await worker.ask<number>({ do: 'measure', copies: true, count })) / MILLION)
    }
  }
}

/** Like with like: each peer on as many tokens. */
function checkRows(entries: Entry[], { few, small, large }: Sizes): Row[] {
  return ([few, small, large] as const).flatMap((count) => {
    const [own, ...others] = entries.filter((one) => one.count === count)
    if (!own) return []
    const target = { [small]: '≥ 1.00 M/s', [large]: '≥ 0.60 M/s' }[count]
    return [
      ...compared(own, others, 'same', '', target),
      ...compared(own, others, 'copies', ', a new string each time'),
    ]
  })
}

function compared(
  { count, rates: own }: Entry,
  others: Entry[],
  how: 'same' | 'copies',
  suffix: string,
  target?: string,
): Row[] {
  const what = `check, ${count.toLocaleString('en-US')} live tokens${suffix}`
  const row: Row = { what, unit: 'M/s', ...summary(own[how]), ...(target ? { target } : {}) }
  if (others.length === 0) return [row]
  return others.map(({ name, configuration, rates }) => {
    const peer: Peer = { name, configuration, ...summary(rates[how]) }
    return { ...row, peer, ratio: row.value / peer.value }
  })
}

type Counted = { accepted: number; refused: number; failed: number }

/** After the timing: the dead are all refused, the living all accepted, and what dies now is refused as well. */
async function correctness(entries: Entry[], ground: Ground, dead: string, sizes: Sizes): Promise<Row[]> {
  const rows: Row[] = []
  const { late, revoked } = sizes
  const guards = entries.filter(({ contender }) => contender === 'guard')
  const known = Math.max(
    ...(await Promise.all(guards.map(({ worker }) => worker.ask<number>({ do: 'seq' })))),
  )
  await revokeOver(ground.issuer, ground.live.slice(0, late))
  for (const { worker, count } of guards) {
    while ((await worker.ask<number>({ do: 'seq' })) < known + late)
      await new Promise((resolve) => setTimeout(resolve, 10))
    const before = await worker.ask<Counted>({ do: 'count', file: dead, from: 0, to: revoked })
    const since = await worker.ask<Counted>({ do: 'count', from: 0, to: late })
    const living = await worker.ask<Counted>({ do: 'count', from: late, to: count })
    const at = `guard of ${count.toLocaleString('en-US')}`
    const row = (what: string, value: number, of: number) => counted(`${at}: ${what}`, value, of, 'tokens')
    rows.push(row('revoked before it started, refused', before.refused, revoked))
    rows.push(row('revoked after it had let them through, refused', since.refused, late))
    rows.push(row('live, accepted', living.accepted, count - late))
  }
  return rows
}

function notes(pinned: boolean, { disk }: Ground, entries: Entry[], quick: boolean): string[] {
  const configurations = new Map(entries.map(({ name, configuration }) => [name, configuration]))
  return [
    `check: the median of ${quick ? 3 : ROUNDS} runs of about ${RUN} s in which the contenders take turns, on tokens that were verified before (jose remembers nothing); spread: the slowest and the fastest run`,
    pinned
      ? 'check: each contender is a process of its own, held on core 0 with taskset, garbage collection and all'
      : 'check: each contender is a process of its own; there is no taskset here, so it may use a second core',
    'memory: the median of 3 processes; cold start: of 7 processes; spread: the smallest and the largest',
    'ratio: the value here divided by the peer’s; above 1 is faster for checks, below 1 is smaller for memory',
    'a peer says whether a token was signed and has not expired; whether it was revoked, only the guard says',
    `store: ${disk}`,
    ...[...configurations].map(([name, configuration]) => `${name}: ${configuration}`),
  ]
}
