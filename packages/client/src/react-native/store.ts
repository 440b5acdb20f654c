import { RescindClientError } from '../errors.ts'
import { logoutOf } from '../outbox.ts'
import type { Ended, SessionStore } from '../platform.ts'
import { createLedger } from './ledger.ts'
import type { PlainStorage, SecureStore } from './platform.ts'

export type PhoneStore = SessionStore & {
  /** How the session ended, when what is the app’s own may be there yet. */
  uncleared(): Promise<Ended | undefined>
  cleared(): Promise<void>
  /** What the authority calls this device: the same until an uninstall. */
  device(): Promise<string>
}

/** Keeps the session in a keychain; one thing after the other. */
export function createStore(secure: SecureStore, plain: PlainStorage): PhoneStore {
  const ledger = createLedger(secure, plain)
  const { waiting } = ledger
  let last: Promise<unknown> = Promise.resolve()

  /** One after the other. @throws RescindClientError UNAVAILABLE */
  function alone<T>(work: () => T | Promise<T>): Promise<T> {
    const turn = last.then(work, work).catch(unavailable)
    last = turn.catch(() => {})
    return turn
  }
  /** The same, of what has been read. */
  const afterwards = <T>(work: () => T | Promise<T>) => alone(() => ledger.load().then(work))

  return {
    read: () => alone(ledger.load),
    save: (tokens, epoch) =>
      alone(async () => {
        const now = await ledger.load()
        return now.epoch === epoch && now.tokens ? ledger.save(tokens) : undefined
      }),
    open: (tokens, epoch) =>
      alone(async () => {
        const now = await ledger.load()
        const { sid, sub } = tokens.claims
        if (now.epoch !== epoch) {
          await waiting.put(logoutOf(tokens.ticket, sid, 'user_logout'))
          return undefined
        }
        if (now.tokens) {
          const { claims, ticket } = now.tokens
          const reason = claims.sub === sub ? 'user_logout' : 'account_switch'
          await waiting.put(logoutOf(ticket, claims.sid, reason))
        }
        return ledger.open(tokens)
      }),
    end: (ended, epoch, reason) =>
      alone(async () => {
        // What can’t be read goes from here all the same; nobody knows its ticket.
        let unread: { error: unknown } | undefined
        const now = await ledger.load().catch((error) => {
          unread = { error }
          return ledger.reset()
        })
        if (epoch !== undefined && now.epoch !== epoch) return undefined
        const { ticket, claims } = now.tokens ?? {}
        const queued = ticket && claims && reason ? logoutOf(ticket, claims.sid, reason) : undefined
        // It goes even when its ticket can’t be kept.
        try {
          if (queued) await waiting.put(queued)
        } finally {
          await ledger.forget(ended)
        }
        if (unread) throw unread.error
        return queued
      }),
    queued: () => afterwards(waiting.all),
    queue: (logout) =>
      afterwards(async () => {
        if (waiting.of(logout.sid)) await waiting.put(logout)
      }),
    unqueue: (sid) => afterwards(() => waiting.remove(sid)),
    uncleared: () => afterwards(ledger.uncleared),
    cleared: () => alone(ledger.cleared),
    device: () => afterwards(ledger.device),
  }
}

function unavailable(error: unknown): never {
  const message =
    'The phone’s storage can’t be used. Try again when it is unlocked; `logout()` gives up what is in it.'
  throw new RescindClientError('UNAVAILABLE', message, undefined, error)
}
