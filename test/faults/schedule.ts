import { createRandom, type Random } from './random.ts'

/** What breaks, when (ms from the start) and for how long (ms). */
export type Fault = {
  at: number
  for: number
  kind: FaultKind
  /** Which authority process, or which guard; absent where all are meant, or the database. */
  which?: number
  /** How far a clock is moved, or how late each piece comes, in ms. */
  by?: number
}

/** `clock-restart`: a clock is wrong, and the process starts anew by it. */
const OF_PROCESSES = { kill: 4, stop: 4, clock: 2, 'clock-restart': 1 }
const OF_DATABASE = { 'database-crash': 3, 'database-stop': 2, 'database-full': 1 }
/** Wires lead from clients to a process, links from a process to the database. */
const OF_WIRES = {
  ...{ 'wire-cut': 2, 'wire-half-open': 2, 'wire-delay': 2 },
  ...{ 'link-cut': 3, 'link-half-open': 3, 'link-delay': 2 },
  // What is to be committed does not arrive; it arrives, and the answer is lost.
  ...{ 'link-commit-lost': 3, 'link-answer-lost': 3 },
}
/** Between a guard and its process: for longer than it may trust its memory. */
const OF_GUARDS = { 'guard-cut': 2, 'guard-half-open': 2, 'guard-delay': 1 }
export type FaultKind =
  | keyof typeof OF_PROCESSES
  | keyof typeof OF_DATABASE
  | keyof typeof OF_WIRES
  | keyof typeof OF_GUARDS
  | 'fail-over'
export type Lane = 'processes' | 'database' | 'wires' | 'guards'

export type Plan = { seed: number; seconds: number; processes: number; guards: number; replica: boolean }

/** Lanes of faults beside each other: any two that are not of one lane may meet. */
export function schedule({ seed, seconds, processes, guards, replica }: Plan): Record<Lane, Fault[]> {
  const lane = (name: string, draw: (random: Random) => Drawn) =>
    drawLane(createRandom(seed, `faults of ${name}`), seconds * 1_000, draw)
  return {
    processes: lane('processes', (random) => ofProcesses(random, processes)),
    database: lane('database', (random) => ofDatabase(random, replica)),
    wires: lane('wires', (random) => ofWires(random, processes)),
    guards: lane('guards', (random) => ofGuards(random, guards)),
  }
}

type Drawn = Omit<Fault, 'at'>

function drawLane(random: Random, end: number, draw: (random: Random) => Drawn): Fault[] {
  const faults: Fault[] = []
  for (let at = random.between(500, 3_000); ; ) {
    const fault = { at, ...draw(random) }
    if (fault.at + fault.for > end) return faults
    faults.push(fault)
    at += fault.for + random.between(1_000, 7_000)
  }
}

function ofProcesses(random: Random, processes: number): Drawn {
  const kind = random.weighed(OF_PROCESSES)
  const which = random.between(0, processes - 1)
  if (kind === 'kill') return { kind, which, for: random.between(0, 2_000) }
  if (kind === 'stop') return { kind, which, for: random.between(1_000, 8_000) }
  const by = random.pick([-1, 1]) * random.between(60, 300) * 1_000
  return { kind, which, by, for: random.between(3_000, 10_000) }
}

function ofDatabase(random: Random, replica: boolean): Drawn {
  // A fail-over takes as long as a new replica takes to come about.
  if (replica && random.next() < 0.5) return { kind: 'fail-over', for: 4_000 }
  // Where the data goes from server to server, none of them has the small disk.
  const kind = random.weighed({ ...OF_DATABASE, 'database-full': replica ? 0 : 1 })
  if (kind === 'database-crash') return { kind, for: random.between(0, 2_000) }
  return { kind, for: random.between(500, 5_000) }
}

function ofWires(random: Random, processes: number): Drawn {
  const kind = random.weighed(OF_WIRES)
  const which = random.next() < 0.75 ? { which: random.between(0, processes - 1) } : {}
  if (kind.endsWith('lost')) return { kind, ...which, for: random.between(300, 3_000) }
  const by = kind.endsWith('delay') ? { by: random.between(50, 1_500) } : {}
  return { kind, ...which, ...by, for: random.between(1_000, 6_000) }
}

function ofGuards(random: Random, guards: number): Drawn {
  const kind = random.weighed(OF_GUARDS)
  const by = kind === 'guard-delay' ? { by: random.between(50, 2_500) } : {}
  return { kind, which: random.between(0, guards - 1), ...by, for: random.between(2_000, 15_000) }
}
