export type Cache<T> = {
  get(key: string): T | undefined
  set(key: string, value: T): void
  clear(): void
  /** How often it was cleared. */
  readonly generation: number
  /** Everything that is remembered. */
  values(): Iterable<T>
  readonly size: number
}

/**
 * Remembers at least the `size` entries that were used last, and never more than twice as many. Two generations: when
 * the young one is full the old one is let go whole, so nothing is ever searched for what to forget.
 * @param turnAfter in ms: the young one counts as full after so long, so that what nobody has used for twice as long is let go
 */
export function createCache<T>(size: number, turnAfter = Infinity): Cache<T> {
  let young = new Map<string, T>()
  let old = new Map<string, T>()
  let generation = 0
  let turnedAt = performance.now()

  function set(key: string, value: T) {
    if (young.size >= size || performance.now() - turnedAt > turnAfter) {
      old = young
      young = new Map()
      turnedAt = performance.now()
    }
    young.set(key, value)
  }
  return {
    get(key) {
      const found = young.get(key)
      if (found !== undefined) return found
      const kept = old.get(key)
      if (kept !== undefined) {
        old.delete(key)
        set(key, kept)
      }
      return kept
    },
    set,
    clear() {
      generation++
      young = new Map()
      old = new Map()
    },
    *values() {
      yield* young.values()
      yield* old.values()
    },
    get generation() {
      return generation
    },
    get size() {
      return young.size + old.size
    },
  }
}
