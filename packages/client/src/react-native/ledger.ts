import { logoutOf } from '../outbox.ts'
import type { Ended, Held, QueuedLogout, Tokens } from '../platform.ts'
import type { PlainStorage, SecureStore } from './platform.ts'

/*
 * A keychain has no transactions, and an app may be killed between any two writes. So a logout is queued before the session
 * goes, and whoever reads them next finishes what was begun.
 */

const SESSION = 'rescind.session'
const OUTBOX = 'rescind.outbox'
const entryOf = (sid: string) => `rescind.logout.${sid}`
/** A keychain outlives an uninstall, on iOS; this does not. */
export const INSTALLED = 'rescind.installed'
/** More logouts can hardly wait; the oldest goes. */
const MAX_QUEUED = 20

/** What rests. Not the access token: there is no room for it, and a new one is a refresh away. */
type Stored = {
  epoch: number
  version: number
  ended?: Ended
  tokens?: Omit<Tokens, 'accessToken' | 'expiresAt'>
}

/** What is in the keychain, and the order in which it is written. One process has it, so what is in memory is what is there. */
export function createLedger(secure: SecureStore, plain: PlainStorage) {
  let held: Held | undefined
  let sids: string[] = []

  async function readJson<T>(key: string): Promise<T | undefined> {
    const text = await secure.get(key)
    try {
      return text === null ? undefined : JSON.parse(text)
    } catch {
      return undefined
    }
  }

  /** Reads it once; finishes a logout that was cut off, and ends what another installation left. */
  async function load(): Promise<Held> {
    if (held) return held
    sids = (await readJson<string[]>(OUTBOX)) ?? []
    const stored = (await readJson<Stored>(SESSION)) ?? { epoch: 0, version: 0 }
    const { tokens, ...rest } = stored
    held = tokens ? { ...rest, tokens: { ...tokens, accessToken: '', expiresAt: 0 } } : rest
    const here = (await plain.getItem(INSTALLED)) !== null
    const { claims, ticket } = tokens ?? {}
    if (claims && ticket && sids.includes(claims.sid)) await forget(endedAs('user_logout'))
    else if (claims && ticket && !here) {
      await enqueue(logoutOf(ticket, claims.sid, 'app_uninstall'))
      await forget(endedAs('app_uninstall'))
    }
    if (!here) await plain.setItem(INSTALLED, '1')
    return held
  }

  async function put(next: Omit<Held, 'version'>): Promise<Held> {
    const version = (held?.version ?? 0) + 1
    const { tokens, ...rest } = next
    const { accessToken: _, expiresAt: __, ...resting } = tokens ?? ({} as Tokens)
    const stored: Stored = { ...rest, version, ...(tokens ? { tokens: resting } : {}) }
    await secure.set(SESSION, JSON.stringify(stored))
    held = { ...next, version }
    return held
  }

  const forget = (ended: Ended) => put({ epoch: (held?.epoch ?? 0) + 1, ended })

  /** The entry first: what the list names is there. */
  async function enqueue(logout: QueuedLogout) {
    await secure.set(entryOf(logout.sid), JSON.stringify(logout))
    if (sids.includes(logout.sid)) return
    const dropped = sids.length >= MAX_QUEUED ? sids[0] : undefined
    const next = [...sids.filter((one) => one !== dropped), logout.sid]
    await secure.set(OUTBOX, JSON.stringify(next))
    sids = next
    if (dropped !== undefined) await secure.remove(entryOf(dropped))
  }

  async function dequeue(sid: string) {
    await load()
    const next = sids.filter((one) => one !== sid)
    await secure.set(OUTBOX, JSON.stringify(next))
    sids = next
    await secure.remove(entryOf(sid))
  }

  async function queued(): Promise<QueuedLogout[]> {
    await load()
    const all = await Promise.all(sids.map((sid) => readJson<QueuedLogout>(entryOf(sid))))
    return all.filter((one) => one !== undefined)
  }

  return { load, put, forget, enqueue, dequeue, queued }
}

function endedAs(reason: string): Ended {
  return { reason, at: new Date().toISOString(), to: false }
}
