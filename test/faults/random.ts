import { createHash } from 'node:crypto'

/** Decisions from a seed: the same seed and name, the same decisions in the same order. */
export type Random = {
  /** At least 0, less than 1. */
  next(): number
  /** A whole number, both ends included. */
  between(least: number, most: number): number
  pick<T>(from: readonly T[]): T
  /** One of the names, each as often as its weight says. */
  weighed<K extends string>(weights: Record<K, number>): K
}

/** @param name whose decisions: those of one do not depend on how often another decides */
export function createRandom(seed: number, name: string): Random {
  let state = createHash('sha256').update(`${seed} ${name}`).digest().readUInt32LE()
  function next(): number {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  return {
    next,
    between: (least, most) => least + Math.floor(next() * (most - least + 1)),
    pick: (from) => from[Math.floor(next() * from.length)] as never,
    weighed(weights) {
      const all = Object.entries<number>(weights)
      let rest = next() * all.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [name, weight] of all) {
        rest -= weight
        if (rest < 0) return name as never
      }
      return all[0]?.[0] as never
    },
  }
}
