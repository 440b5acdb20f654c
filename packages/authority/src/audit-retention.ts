import type { Authority } from './authority.ts'

const EVERY = 60 * 60_000
/** So many records are cut off in one transaction: others are waiting for the store too. */
const AT_ONCE = 5_000
const DAY = 24 * 60 * 60_000

/**
 * Cuts off audit records that are older than the configuration keeps them, at the start and then each hour.
 * @returns how to stop
 */
export function startAuditRetention({ store, config, now, log }: Authority): { stop(): void } {
  let stopped = false
  async function prune() {
    // By whole days (UTC): each cut is told of in the log, and one a day is enough.
    const before = (Math.floor(now() / DAY) - config.audit.keepDays) * DAY
    try {
      while (!stopped) {
        const { pruned } = await store.transact({ kind: 'prune-audit', before, limit: AT_ONCE, at: now() })
        if (!pruned) return
        log.info({ upTo: pruned.n }, 'old audit records were cut off')
      }
    } catch (error) {
      // The next hour finds what this one left.
      log.warn({ error: (error as Error).message }, 'old audit records could not be cut off')
    }
  }
  void prune()
  const timer = setInterval(prune, EVERY)
  timer.unref()
  return {
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
