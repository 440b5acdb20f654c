import { Worker } from 'node:worker_threads'
import type { Policy } from '../../domain/policy.ts'
import type { LoggedRevocation } from '../../domain/revocation.ts'
import {
  type AnswerOf,
  type OutcomeOf,
  type Query,
  type Store,
  StoreUnavailable,
  type Transaction,
} from '../store.ts'
import type { Batch, Job, Reply, StoreOptions } from './worker.ts'

/** So many requests may wait for the disk; more than that are refused at once rather than queued for ever. */
const MAX_WAITING = 50_000

/**
 * Opens the embedded store: one SQLite file, in a thread of its own, WAL, synced at each commit.
 * @param options.path the database file; it is created when it is missing
 * @param options.exclusive hold the file alone (the server); false for the command line beside a running server
 * @throws StoreUnavailable when it can't be opened, or another server holds it
 */
export async function openSqliteStore(options: {
  path: string
  policy: Policy
  exclusive: boolean
}): Promise<Store> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: options satisfies StoreOptions,
  })
  const revocationListeners: ((revocation: LoggedRevocation) => void)[] = []
  const changeListeners: ((what: 'keys') => void)[] = []
  const queue = createQueue(worker)

  worker.on('message', (batch: Batch) => {
    // Everybody hears of a revocation before anybody is told that it succeeded.
    for (const revocation of batch.revocations) for (const hear of revocationListeners) hear(revocation)
    queue.settle(batch.replies)
    if (batch.outsideChange) for (const hear of changeListeners) hear('keys')
  })
  worker.on('error', (error) => queue.fail(error instanceof Error ? error.message : String(error)))
  worker.on('exit', () => queue.fail('its thread has stopped'))
  await queue.ready

  return {
    transact: <T extends Transaction>(transaction: T) => queue.submit<OutcomeOf<T>>({ transaction }),
    read: <Q extends Query>(query: Q) => queue.submit<AnswerOf<Q>>({ query }),
    // One authority has the file: there is nobody else to hear of, or to tell.
    caughtUp: () => undefined,
    leads: () => true,
    tellOthers: () => {},
    onMessage: () => {},
    onRevocation: (listener) => void revocationListeners.push(listener),
    onOutsideChange: (listener) => void changeListeners.push(listener),
    close: queue.close,
  }
}

type Waiter = { resolve(value: never): void; reject(error: Error): void }

/** What waits for the thread: it gets all of it at once, as soon as it is done with what it has. */
function createQueue(worker: Worker) {
  const waiters = new Map<number, Waiter>()
  let waiting: Job[] = []
  let busy = true
  let nextId = 1
  let failure: StoreUnavailable | undefined
  let closed: (() => void) | undefined

  function pump() {
    if (busy) return
    if (waiting.length > 0) {
      busy = true
      worker.postMessage(waiting)
      waiting = []
    } else if (closed) {
      worker.postMessage('close')
    }
  }
  return {
    /** Resolves when the thread has opened the file. */
    ready: new Promise<void>((resolve, reject) => waiters.set(0, { resolve: resolve as () => void, reject })),

    submit<T>(job: Omit<Job, 'id'>): Promise<T> {
      if (failure) return Promise.reject(failure)
      if (closed) return Promise.reject(new StoreUnavailable('it is closing'))
      if (waiters.size >= MAX_WAITING) {
        return Promise.reject(new StoreUnavailable('too many requests are waiting'))
      }
      return new Promise<T>((resolve, reject) => {
        const id = nextId++
        waiters.set(id, { resolve, reject })
        waiting.push({ id, ...job })
        // What arrives in the same turn of the event loop shares a batch even when the thread is idle.
        if (waiting.length === 1 && !busy) queueMicrotask(pump)
      })
    },

    settle(replies: Reply[]) {
      for (const reply of replies) {
        const waiter = waiters.get(reply.id)
        waiters.delete(reply.id)
        if ('unavailable' in reply) waiter?.reject(new StoreUnavailable(reply.unavailable))
        else waiter?.resolve(reply.value as never)
      }
      if (replies.length === 0) return
      busy = false
      pump()
    },

    fail(cause: string) {
      failure ??= new StoreUnavailable(cause)
      for (const waiter of waiters.values()) waiter.reject(failure)
      waiters.clear()
      closed?.()
    },

    /** Resolves when all that waited is answered and the thread has gone. */
    close: () =>
      new Promise<void>((resolve) => {
        if (failure) return resolve()
        closed = resolve
        pump()
      }),
  }
}
