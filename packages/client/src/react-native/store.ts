import { logoutOf } from '../outbox.ts'
import type { SessionStore } from '../platform.ts'
import { createLedger } from './ledger.ts'
import type { PlainStorage, SecureStore } from './platform.ts'

/** Keeps the session in a keychain; one thing after the other. */
export function createStore(secure: SecureStore, plain: PlainStorage): SessionStore {
  const ledger = createLedger(secure, plain)
  const { load, put, forget, enqueue } = ledger
  let last: Promise<unknown> = Promise.resolve()

  /** One after the other. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work, work)
    last = turn.catch(() => {})
    return turn
  }

  return {
    read: () => alone(load),
    save: (tokens, epoch) =>
      alone(async () => {
        const now = await load()
        return now.epoch === epoch && now.tokens ? put({ epoch, tokens }) : undefined
      }),
    open: (tokens, epoch) =>
      alone(async () => {
        const now = await load()
        const { sid, sub } = tokens.claims
        if (now.epoch !== epoch) {
          await enqueue(logoutOf(tokens.ticket, sid, 'user_logout'))
          return undefined
        }
        if (now.tokens) {
          const { claims, ticket } = now.tokens
          await enqueue(logoutOf(ticket, claims.sid, claims.sub === sub ? 'user_logout' : 'account_switch'))
        }
        return put({ epoch: epoch + 1, tokens })
      }),
    end: (ended, epoch, reason) =>
      alone(async () => {
        const now = await load()
        if ((epoch ?? now.epoch) !== now.epoch) return undefined
        const queued =
          now.tokens && reason ? logoutOf(now.tokens.ticket, now.tokens.claims.sid, reason) : undefined
        if (queued) await enqueue(queued)
        await forget(ended)
        return queued
      }),
    queued: () => alone(ledger.queued),
    queue: (logout) =>
      alone(async () => {
        const waiting = await ledger.queued()
        if (waiting.some(({ sid }) => sid === logout.sid)) await enqueue(logout)
      }),
    unqueue: (sid) => alone(() => ledger.dequeue(sid)),
  }
}
