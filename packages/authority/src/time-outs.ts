import type { Authority } from './authority.ts'

const EVERY = 1_000
/** So many sessions are looked at in one transaction: others are waiting for the store too. */
const AT_ONCE = 200

/**
 * Ends sessions whose time is over, so that their connections close then and not when somebody next tries them.
 * @returns how to stop
 */
export function startTimeOuts({ store, now, log }: Authority): { stop(): void } {
  let busy = false
  let stopped = false
  async function look() {
    if (busy || !store.leads()) return
    busy = true
    try {
      let more = true
      while (more && !stopped)
        more = (await store.transact({ kind: 'time-out', at: now(), limit: AT_ONCE })).more
    } catch (error) {
      // The next look finds what this one left.
      log.warn({ error: (error as Error).message }, 'sessions could not be timed out')
    }
    busy = false
  }
  const timer = setInterval(look, EVERY)
  timer.unref()
  return {
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
