import { logoutOf } from '../outbox.ts'
import type { Ended, Held, QueuedLogout, SessionStore, Tokens } from '../platform.ts'
import { createDatabase, of } from './database.ts'

/** One record for the session, so that whatever changes in it changes at once. */
type Stored = {
  epoch: number
  version: number
  ended?: Ended
  /** What the tokens are encrypted under, and bound to: keys that nothing can read out of the browser. */
  seal?: CryptoKey
  proof?: unknown
  iv?: Uint8Array<ArrayBuffer>
  sealed?: ArrayBuffer
  /** In the open: it has to go to the queue in one transaction, and can only end the session. */
  ticket?: string
  sid?: string
  sub?: string
}

const CURRENT = 'current'
const NOTHING: Stored = { epoch: 0, version: 0 }
/** More logouts can hardly wait; the oldest goes. */
const MAX_QUEUED = 100

/** The name of our own database, which a logout leaves alone. */
export const databaseName = (clientId: string): string => `rescind:${clientId}`

/** Keeps the session in IndexedDB, its tokens encrypted under a key that cannot be read out. */
export function createStore(clientId: string): SessionStore {
  const transact = createDatabase(databaseName(clientId))

  /** Puts what becomes of the session, if anything does. */
  function change(
    decide: (stored: Stored, queue: (logout: QueuedLogout) => void) => Stored | undefined,
  ): Promise<Stored | undefined> {
    return transact('readwrite', async (session, outbox) => {
      const keys = await of(outbox.getAllKeys())
      const stored = (await of<Stored>(session.get(CURRENT))) ?? NOTHING
      const next = decide(stored, (logout) => {
        if (keys.length >= MAX_QUEUED) outbox.delete(keys[0] as IDBValidKey)
        outbox.put(logout)
      })
      if (!next) return undefined
      next.version = stored.version + 1
      session.put(next, CURRENT)
      return next
    })
  }

  return {
    async read(known) {
      const stored = await transact('readonly', (session) => of<Stored>(session.get(CURRENT)))
      return known?.version === (stored?.version ?? 0) ? known : unseal(stored ?? NOTHING)
    },
    async save(tokens, epoch) {
      const sealed = await seal(tokens)
      const kept = await change((stored) =>
        stored.epoch === epoch && stored.ticket ? { ...stored, ...sealed } : undefined,
      )
      return kept && { epoch, version: kept.version, tokens }
    },
    async open(tokens, epoch) {
      const sealed = await seal(tokens)
      const { ticket, proof } = tokens
      const { sid, sub } = tokens.claims
      const next = epoch + 1
      const kept = await change((stored, queue) => {
        if (stored.epoch !== epoch) {
          queue(logoutOf(ticket, sid))
          return undefined
        }
        if (stored.ticket && stored.sid)
          queue(logoutOf(stored.ticket, stored.sid, stored.sub === sub ? undefined : 'account_switch'))
        return { ...sealed, epoch: next, version: 0, proof, ticket, sid, sub }
      })
      return kept && { epoch: next, version: kept.version, tokens }
    },
    async end(ended, epoch, reason) {
      let queued: QueuedLogout | undefined
      await change((stored, queue) => {
        if ((epoch ?? stored.epoch) !== stored.epoch) return undefined
        if (stored.ticket && stored.sid && reason) {
          queued = logoutOf(stored.ticket, stored.sid, reason)
          queue(queued)
        }
        return { epoch: stored.epoch + 1, version: 0, ended }
      })
      return queued
    },
    queued: () => transact('readonly', (_, outbox) => of<QueuedLogout[]>(outbox.getAll())),
    queue: (logout) =>
      transact('readwrite', async (_, outbox) => {
        // Another tab may have brought it to its end meanwhile.
        if (await of(outbox.get(logout.sid))) outbox.put(logout)
      }),
    unqueue: (sid) => transact('readwrite', async (_, outbox) => void outbox.delete(sid)),
  }
}

async function seal({ proof: _, ticket: __, ...secrets }: Tokens) {
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const seal = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
    'encrypt',
    'decrypt',
  ])
  const text = new TextEncoder().encode(JSON.stringify(secrets))
  return { seal, iv, sealed: await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, seal, text) }
}

async function unseal({ epoch, version, ended, seal, iv, sealed, ticket, proof }: Stored): Promise<Held> {
  if (!seal || !iv || !sealed) return { epoch, version, ended }
  const text = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, seal, sealed)
  const secrets = JSON.parse(new TextDecoder().decode(text))
  return { epoch, version, tokens: { ...secrets, ticket, proof } }
}
