/*
 * What the live view shows: the last hour in memory, and nothing that is not a number or a name of ours. It is gone with the
 * process; what has to last is in the audit log and in the metrics.
 */

/** One slot of the hour, in ms. */
export const SLOT = 10_000
export const SLOTS = 360
/** Services whose times are kept; those that were not heard for longest go. */
const MAX_GUARDS = 100
/** The newest times of each. */
const TIMES = 512

export type Slot = {
  /** When it began, in ms. */
  at: number
  /** How many revocations, by reason. */
  reasons: Record<string, number>
  /** How many deliveries failed, by kind. */
  failed: Record<string, number>
}

/** How long a service took from the commit of a revocation to its confirmation, in ms, of its newest `count`. */
export type Confirmations = {
  guard: string
  count: number
  p50: number
  p95: number
  p99: number
  last: number
}

export type Watched = { at: number; slots: Slot[]; confirmations: Confirmations[] }

export type Watch = {
  revoked(reason: string): void
  acknowledged(seconds: number, guard: string): void
  failed(kind: string): void
  seen(): Watched
}

type Times = { ms: Float64Array; count: number; last: number }

/** @param now the time in ms */
export function createWatch(now: () => number): Watch {
  let slots: Slot[] = []
  const guards = new Map<string, Times>()

  function current(): Slot {
    const at = Math.floor(now() / SLOT) * SLOT
    const newest = slots.at(-1)
    if (newest?.at === at) return newest
    const made: Slot = { at, reasons: {}, failed: {} }
    slots.push(made)
    slots = slots.filter((one) => one.at > at - SLOT * SLOTS && one.at <= at)
    return made
  }
  const add = (counts: Record<string, number>, name: string) => {
    counts[name] = (counts[name] ?? 0) + 1
  }

  return {
    revoked: (reason) => add(current().reasons, reason),
    failed: (kind) => add(current().failed, kind),
    acknowledged(seconds, guard) {
      const times = guards.get(guard) ?? { ms: new Float64Array(TIMES), count: 0, last: 0 }
      times.ms[times.count++ % TIMES] = seconds * 1000
      times.last = now()
      if (guards.has(guard)) return
      guards.set(guard, times)
      if (guards.size > MAX_GUARDS) guards.delete(quietest(guards))
    },
    seen() {
      current()
      const since = now() - SLOT * SLOTS
      const recent = [...guards].filter(([, { last }]) => last > since)
      return { at: now(), slots, confirmations: recent.map(percentilesOf) }
    },
  }
}

function quietest(guards: Map<string, Times>): string {
  return [...guards].reduce((a, b) => (b[1].last < a[1].last ? b : a))[0]
}

function percentilesOf([guard, { ms, count, last }]: [string, Times]): Confirmations {
  const kept = ms.slice(0, Math.min(count, TIMES)).sort()
  // The nearest rank: a time that was really taken.
  const at = (share: number) => kept[Math.max(0, Math.ceil(kept.length * share) - 1)] ?? 0
  return { guard, count: kept.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), last }
}
