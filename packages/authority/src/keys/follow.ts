import type { Authority } from '../authority.ts'
import { StoreUnavailable } from '../store/store.ts'
import { type KeyRing, openKeyRing } from './ring.ts'

/**
 * Holds the keys, and reads them again when another process has changed them.
 * @param changed hears that they were read again
 */
export async function followKeys(
  { store, seal, now, log }: Pick<Authority, 'store' | 'seal' | 'now' | 'log'>,
  changed: () => void,
) {
  let ring: KeyRing = await openKeyRing(store, seal, now())
  let reading: Promise<void> = Promise.resolve()
  let outdated = false

  async function read() {
    try {
      ring = await openKeyRing(store, seal, now())
      changed()
      outdated = false
    } catch (error) {
      // Whoever asks next has them read again; the heartbeat of the feed does so each second.
      outdated = true
      log.error({ error: (error as Error).message }, 'keys could not be read again')
    }
  }
  function readAgain(): Promise<void> {
    outdated = false
    reading = reading.then(read)
    return reading
  }
  return {
    ring: () => ring,
    readAgain,
    /** Resolves once all that any process had committed by then is known, and the keys are as they were then. */
    async caughtUp() {
      await store.caughtUp()
      if (outdated) void readAgain()
      await reading
      // One of those that we still hold may have been dropped because somebody else has it.
      if (outdated) throw new StoreUnavailable('the keys could not be read again')
    },
  }
}
