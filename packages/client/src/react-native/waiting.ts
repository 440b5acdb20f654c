import type { QueuedLogout } from '../platform.ts'
import type { SecureStore } from './platform.ts'
import { readJson } from './rested.ts'

const KEY = 'rescind.outbox'
/** A keychain’s value has 2048 bytes. That is eight logouts; more can hardly wait, and the oldest go. */
const ROOM = 2000

/** The logouts that wait, in one value: each change is one write. */
export function createWaiting(secure: SecureStore) {
  let waiting: QueuedLogout[] = []

  async function rewrite(next: QueuedLogout[]): Promise<void> {
    while (JSON.stringify(next).length > ROOM) next.shift()
    await secure.set(KEY, JSON.stringify(next))
    waiting = next
  }

  return {
    async load() {
      waiting = logoutsOf(await readJson(secure, KEY))
    },
    all: () => waiting,
    of: (sid: string) => waiting.find((one) => one.sid === sid),
    put: (logout: QueuedLogout) => rewrite([...waiting.filter(({ sid }) => sid !== logout.sid), logout]),
    remove: (gone: string) => rewrite(waiting.filter(({ sid }) => sid !== gone)),
  }
}

function logoutsOf(value: unknown): QueuedLogout[] {
  if (!Array.isArray(value)) return []
  return value.filter((one) => typeof one?.sid === 'string' && typeof one.ticket === 'string')
}
