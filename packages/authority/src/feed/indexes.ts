import { randomInt } from 'node:crypto'
import type { Store } from '../store/store.ts'

const BLOCK = 4096

/** Hands out status-list indexes. */
export type Indexes = {
  next(): Promise<number>
  /** Indexes below this one have been reserved by now. */
  readonly end: number
}

/**
 * Indexes come from blocks that the store reserves, in random order within a block: two tokens that were issued
 * one after the other can't be linked by their places. What a crash leaves of a block is not given again.
 */
export async function createIndexes(store: Store): Promise<Indexes> {
  let free: number[] = []
  let end = 0
  let filling: Promise<void> | undefined

  async function fill() {
    const { first } = await store.transact({ kind: 'reserve-indexes', size: BLOCK })
    end = Math.max(end, first + BLOCK)
    const block = Array.from({ length: BLOCK }, (_, offset) => first + offset)
    for (let i = block.length - 1; i > 0; i--) {
      const j = randomInt(i + 1)
      const swap = block[i] as number
      block[i] = block[j] as number
      block[j] = swap
    }
    free = block.concat(free)
  }

  await fill()
  return {
    get end() {
      return end
    },
    async next() {
      for (;;) {
        const idx = free.pop()
        if (idx !== undefined) return idx
        filling ??= fill().finally(() => {
          filling = undefined
        })
        await filling
      }
    },
  }
}
