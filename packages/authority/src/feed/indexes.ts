import { randomInt } from 'node:crypto'
import { LIST_SIZE } from '@rescind/guard/status'
import type { Store } from '../store/store.ts'

const BLOCK = 4096
/** What is left of a block after this long, in ms, is given up: otherwise its list could never retire. */
const BLOCK_LIFE = 600_000
/** A list is kept this long after its last token has expired, in ms: clocks differ. */
const LINGER = 60_000

/** Hands out status-list indexes, and knows which lists have live tokens. */
export type Indexes = {
  next(): Promise<number>
  /** The lists that are not over, oldest first. */
  lists(): number[]
  /** Hears of the lists that other processes have begun. */
  refresh(): Promise<void>
  /** Lists below this one are over. */
  readonly firstList: number
}

/**
 * Indexes come from blocks that the store reserves, in random order within a block: two tokens that were issued
 * one after the other can't be linked by their places. What a crash leaves of a block is not given again.
 * @param options.ttl how long an access token lives, in seconds
 * @param options.now the time in ms
 */
export async function createIndexes(options: {
  store: Store
  ttl: number
  now: () => number
}): Promise<Indexes> {
  const { store, ttl, now } = options
  const live = new Map<number, number>()
  let free: number[] = []
  let usableUntil = 0
  let newest = 0
  // Lists below this one have all their blocks, and we know for how long; of a later one another process may just have got the
  // last block.
  let settled = 0
  let filling: Promise<void> | undefined

  async function fill() {
    const at = now()
    const until = at + BLOCK_LIFE + ttl * 1000 + LINGER
    const { first } = await store.transact({
      kind: 'reserve-indexes',
      size: BLOCK,
      listSize: LIST_SIZE,
      at,
      until,
    })
    const list = Math.floor(first / LIST_SIZE)
    const begun = list > newest
    newest = Math.max(newest, list)
    live.set(list, Math.max(until, live.get(list) ?? 0))
    usableUntil = at + BLOCK_LIFE
    free = shuffled(Array.from({ length: BLOCK }, (_, offset) => first + offset))
    // Where that can’t be read, older lists count as live until it can.
    if (begun) await refresh().catch(() => {})
  }
  function lists(): number[] {
    const at = now()
    for (const [list, until] of live) if (until <= at && list < settled) live.delete(list)
    return [...live.keys()].sort((a, b) => a - b)
  }

  async function refresh() {
    const begun = newest
    for (const { list, until } of await store.read({ kind: 'status-lists', at: now() })) {
      live.set(list, Math.max(until, live.get(list) ?? 0))
      newest = Math.max(newest, list)
    }
    settled = Math.max(settled, begun)
  }
  await fill()
  await refresh()
  return {
    ...{ lists, refresh },
    get firstList() {
      return lists()[0] ?? newest
    },
    async next() {
      for (;;) {
        const idx = now() < usableUntil ? free.pop() : undefined
        if (idx !== undefined) return idx
        filling ??= fill().finally(() => {
          filling = undefined
        })
        await filling
      }
    },
  }
}

function shuffled(block: number[]): number[] {
  for (let i = block.length - 1; i > 0; i--) {
    const j = randomInt(i + 1)
    const swap = block[i] as number
    block[i] = block[j] as number
    block[j] = swap
  }
  return block
}
