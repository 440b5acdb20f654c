import type { Authority } from './authority.ts'

const EVERY = 60 * 60_000
/** So many records are cut off in one transaction: others are waiting for the store too. */
const AT_ONCE = 5_000
const DAY = 24 * 60 * 60_000
/** What a guard has missed it reads from the log, as long as a token of then can live: an hour. The rest is for those who look. */
const LOG_KEPT = 7 * DAY

/**
 * Lets go of what is old, at the start and then each hour: audit records, and sessions that ended, after as many days as the
 * configuration keeps them; of the log what no token can remember.
 * @returns how to stop
 */
export function startRetention({ store, config, now, log }: Authority): { stop(): void } {
  let stopped = false
  async function prune(before: number) {
    while (!stopped) {
      const { pruned } = await store.transact({ kind: 'prune-audit', before, limit: AT_ONCE, at: now() })
      if (!pruned) return
      log.info({ upTo: pruned.n }, 'old audit records were cut off')
    }
  }
  async function forget(sessions: number) {
    const old = { log: now() - LOG_KEPT, sessions, limit: AT_ONCE }
    while (!stopped && (await store.transact({ kind: 'forget-old', ...old })).more);
  }
  async function look() {
    // By whole days (UTC): each cut is told of in the log, and one a day is enough.
    const before = (Math.floor(now() / DAY) - config.audit.keepDays) * DAY
    try {
      await prune(before)
      await forget(before)
    } catch (error) {
      // The next hour finds what this one left.
      log.warn({ error: (error as Error).message }, 'what is old could not be cut off')
    }
  }
  void look()
  const timer = setInterval(look, EVERY)
  timer.unref()
  return {
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
