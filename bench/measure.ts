import { readable } from './table.ts'

/** The time in ns, on the clock that all processes of a machine share (CLOCK_MONOTONIC, where there is one). */
export function ticks(): number {
  return Number(process.hrtime.bigint())
}

/** The value that this share of `values` does not exceed: nearest rank, nothing made up between two of them. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export function spread(values: readonly number[]): string {
  return `${readable(Math.min(...values))}–${readable(Math.max(...values))}`
}

/** The median of some runs, with their spread. */
export function summary(values: readonly number[]): { value: number; spread: string } {
  return { value: median(values), spread: spread(values) }
}

/** A percentile of all that some runs measured, with the smallest and the largest that one run alone gives. */
export function acrossRuns(runs: readonly number[][], share: number): { value: number; spread: string } {
  return { value: percentile(runs.flat(), share), spread: spread(runs.map((run) => percentile(run, share))) }
}

/** Items in an order of which no cache knows anything. */
export function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items]
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    const swap = order[i] as T
    order[i] = order[j] as T
    order[j] = swap
  }
  return order
}
