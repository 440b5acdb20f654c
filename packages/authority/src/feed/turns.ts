export type Turns = <T>(work: () => Promise<T>) => Promise<T>

/** Lets so many pieces of work be under way at once; the others wait for their turn, in order. */
export function createTurns(most: number): Turns {
  let free = most
  const waiting: (() => void)[] = []
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
