import { createRandom, type Random } from './random.ts'

/** What breaks, when (ms from the start) and for how long (ms). */
export type Fault = {
  at: number
  for: number
  kind: FaultKind
  /** Which authority process; absent where all are meant, or the database. */
  process?: number
  /** How far a clock is moved, or how late each piece comes, in ms. */
  by?: number
}

const OF_PROCESSES = { kill: 4, stop: 4, clock: 2, 'wire-cut': 2, 'wire-half-open': 2, 'wire-delay': 2 }
const OF_DATABASE = {
  'database-crash': 3,
  'database-stop': 2,
  'database-full': 1,
  'link-cut': 4,
  'link-half-open': 4,
  'link-delay': 2,
}
export type FaultKind = keyof typeof OF_PROCESSES | keyof typeof OF_DATABASE | 'fail-over'

const SECOND = 1_000

export type Plan = { seed: number; seconds: number; processes: number; replica: boolean }

/**
 * Two lanes of faults beside each other, one of the processes and the wires to their clients, one of the database and the
 * wires to it: so any two of them may meet.
 */
export function schedule({ seed, seconds, processes, replica }: Plan): Fault[] {
  const end = seconds * SECOND
  const lanes = [
    lane(createRandom(seed, 'faults of processes'), end, (random) => ofProcesses(random, processes)),
    lane(createRandom(seed, 'faults of the database'), end, (random) =>
      ofDatabase(random, processes, replica),
    ),
  ]
  return lanes.flat().sort((a, b) => a.at - b.at)
}

type Drawn = Omit<Fault, 'at'>

function lane(random: Random, end: number, draw: (random: Random) => Drawn): Fault[] {
  const faults: Fault[] = []
  for (let at = random.between(1_000, 3_000); ; ) {
    const fault = { at, ...draw(random) }
    if (fault.at + fault.for > end) return faults
    faults.push(fault)
    at += fault.for + random.between(500, 5_000)
  }
}

function ofProcesses(random: Random, processes: number): Drawn {
  const kind = random.weighed(OF_PROCESSES)
  const process = random.between(0, processes - 1)
  if (kind === 'clock') {
    const by = random.pick([-1, 1]) * random.between(60, 300) * SECOND
    return { kind, process, by, for: random.between(4_000, 12_000) }
  }
  return { kind, process, for: lasting(random, kind), ...late(random, kind) }
}

function ofDatabase(random: Random, processes: number, replica: boolean): Drawn {
  // A fail-over takes as long as a new replica takes to come about.
  if (replica && random.next() < 0.4) return { kind: 'fail-over', for: 6_000 }
  // Where the data goes to another server, the small disk of the first one is of no interest.
  const { 'database-full': full, ...others } = OF_DATABASE
  const kind = random.weighed<keyof typeof OF_DATABASE>({ ...others, 'database-full': replica ? 0 : full })
  const links = kind.startsWith('link')
  const which = links && random.next() < 0.7 ? { process: random.between(0, processes - 1) } : {}
  return { kind, ...which, for: lasting(random, kind), ...late(random, kind) }
}

function lasting(random: Random, kind: FaultKind): number {
  if (kind === 'kill' || kind === 'database-crash') return random.between(0, 2_000)
  return random.between(1_000, 8_000)
}

function late(random: Random, kind: FaultKind): { by?: number } {
  return kind.endsWith('delay') ? { by: random.between(50, 1_500) } : {}
}
