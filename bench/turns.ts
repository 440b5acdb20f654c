import type { Run } from './load.ts'

/** Runs, each made when it is asked for; what they did is looked at after the last. */
export type Runs = AsyncGenerator<Run, void>

/**
 * One run of each after the other, until all have had theirs: how fast a machine is changes by half within minutes, and what
 * is compared should have had the same minutes.
 */
export async function inTurns(all: Runs[]): Promise<Run[][]> {
  const found: Run[][] = all.map(() => [])
  const going = new Set(all.entries())
  try {
    while (going.size > 0) {
      for (const entry of going) {
        const [n, runs] = entry
        const { done, value } = await runs.next()
        if (done) going.delete(entry)
        else found[n]?.push(value)
      }
    }
    return found
  } finally {
    // Where one has failed, what the others have started goes too.
    for (const [, runs] of going) await runs.return()
  }
}
