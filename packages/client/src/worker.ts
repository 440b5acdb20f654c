import { createOutbox } from './outbox.ts'
import { createStore, databaseName } from './web/store.ts'

/**
 * For an app’s service worker: delivers logouts that wait when the browser says that the network is back (Background Sync),
 * also when no page is open. Does nothing where the browser has no Background Sync; then the next page does it.
 * @param options those of `createClient`
 */
export function deliverLogouts({ authority, clientId }: { authority: string; clientId: string }): void {
  const name = databaseName(clientId)
  const outbox = createOutbox({
    ...{ store: createStore(clientId), authority: authority.replace(/\/$/, ''), clientId },
    lock: (what, work) => navigator.locks.request(`${name}:${what}`, work) as ReturnType<typeof work>,
  })
  addEventListener('sync', (event) => {
    const { tag, waitUntil } = event as Event & { tag: string; waitUntil(work: Promise<unknown>): void }
    if (tag !== name) return
    const work = outbox.deliver({ woken: true }).then(async (_) => {
      // Who throws is called again.
      if ((await createStore(clientId).queued()).length > 0) throw new Error('logouts still wait')
    })
    waitUntil.call(event, work)
  })
}
