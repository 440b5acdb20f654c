/** More sessions than this are not reported at a time. */
const MAX_SIDS = 50_000
/** In ms. */
const EVERY = 60_000

/**
 * Which sessions were checked since the last report. What is remembered of a token holds the round in which it was noted,
 * so that each check costs one comparison, and each round one note a token.
 */
export function createSeen() {
  const sids = new Set<string>()
  let last: number | undefined
  const seen = {
    /** What a token that was noted since the last report holds. */
    round: 1,
    note(entry: { noted: number }, sid: string) {
      entry.noted = seen.round
      if (sids.size < MAX_SIDS) sids.add(sid)
    },
    /**
     * Takes what is to be reported, at most once a minute; nothing in between.
     * @param now the time in ms
     */
    take(now: number): string[] {
      last ??= now
      // A clock that was set back must not keep us silent.
      if (now >= last && now - last < EVERY) return []
      last = now
      const taken = [...sids]
      sids.clear()
      seen.round++
      return taken
    },
  }
  return seen
}

export type Seen = ReturnType<typeof createSeen>
