import type { Logger } from 'pino'
import type { Store } from './store/store.ts'

/** How exactly it is kept, and how often it is written at most, in ms. */
const MINUTE = 60_000
const LOOK = 1_000
/** So many sessions of one API are kept in mind between two writes; what is more is heard of again. */
const MAX_SIDS = 50_000
/** So many go into one transaction: others are waiting for the store too. */
const AT_ONCE = 1_000

export type LastSeen = {
  /** Takes in which sessions the guards of these resources have checked. */
  hear(sids: string[], resources: string[]): void
  close(): void
}

/** What the guards of some resources have said since the last write; `at` in ms. */
type Heard = { at: number; resources: string[]; sids: Set<string> }

/**
 * Collects when APIs last saw sessions, and writes it once a minute: no request waits for it, and what a crash loses is
 * reported again.
 * @param options.now the time in ms
 */
export function createLastSeen(options: { store: Store; now: () => number; log: Logger }): LastSeen {
  const { store, now, log } = options
  const heard = new Map<string, Heard>()
  let written = -Infinity

  async function write() {
    if (heard.size === 0 || (now() >= written && now() - written < MINUTE)) return
    written = now()
    const all = [...heard.values()]
    heard.clear()
    for (const { at, resources, sids } of all) {
      const some = [...sids]
      for (let i = 0; i < some.length; i += AT_ONCE)
        await store.transact({ kind: 'seen', sids: some.slice(i, i + AT_ONCE), resources, at })
    }
  }
  const timer = setInterval(() => {
    write().catch((error: Error) => log.warn({ error: error.message }, 'last seen: not written'))
  }, LOOK)
  timer.unref()
  return {
    hear(sids, resources) {
      const key = resources.join(' ')
      const entry: Heard = heard.get(key) ?? { at: 0, resources, sids: new Set() }
      heard.set(key, entry)
      entry.at = Math.floor(now() / MINUTE) * MINUTE
      for (const sid of sids) {
        if (entry.sids.size >= MAX_SIDS) break
        entry.sids.add(sid)
      }
    },
    close: () => clearInterval(timer),
  }
}
