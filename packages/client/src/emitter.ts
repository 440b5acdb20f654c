import type { SessionEvent } from './events.ts'
import type { Delivery } from './outbox.ts'

/** What a client tells its app. */
export type ClientEvents = {
  /** The session of this device ended, here or anywhere. */
  'session-ended': { reason: string; at: string; page?: string }
  /** Another session of the account ended. */
  'other-session-ended': SessionEvent
  /** A logout was tried: what came of it. */
  delivery: Delivery
  /** `state()` is another. */
  change: undefined
}

/** Tells an app what happens. */
export function createEmitter() {
  const listeners = new Map<string, Set<(value: never) => void>>()
  return {
    emit<E extends keyof ClientEvents>(event: E, value: ClientEvents[E]): void {
      for (const listener of [...(listeners.get(event) ?? [])]) {
        // What an app's listener throws is the app's, and must not stop a logout.
        try {
          listener(value as never)
        } catch (error) {
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
    /** @returns takes the listener off */
    on<E extends keyof ClientEvents>(event: E, listener: (value: ClientEvents[E]) => void): () => void {
      const some = listeners.get(event) ?? new Set()
      listeners.set(event, some.add(listener))
      return () => some.delete(listener)
    },
  }
}
