import type { Platform } from '../platform.ts'

/* What engines of phones lack, and browsers have. */

/** A phone has one process for an app: who comes first has it. */
export function createLocks(): Platform['lock'] {
  const queues = new Map<string, Promise<unknown>>()
  return (name, work) => {
    const turn = (queues.get(name) ?? Promise.resolve()).then(work, work)
    const over = turn.catch(() => {})
    queues.set(name, over)
    over.then(() => queues.get(name) === over && queues.delete(name))
    return turn
  }
}

/** `AbortSignal.any`. */
export function either(a: AbortSignal, b: AbortSignal): { signal: AbortSignal; release(): void } {
  const control = new AbortController()
  const abort = () => control.abort()
  for (const one of [a, b]) one.addEventListener('abort', abort)
  if (a.aborted || b.aborted) abort()
  return {
    signal: control.signal,
    release() {
      for (const one of [a, b]) one.removeEventListener('abort', abort)
    },
  }
}
