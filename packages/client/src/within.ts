/**
 * Gives work a time, in ms, and a signal that aborts when it is over or `outer` aborts.
 * @throws what the work throws, or that it took too long
 */
export function within<T>(
  ms: number,
  work: (signal: AbortSignal) => T | Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const control = new AbortController()
  return new Promise<T>((resolve, reject) => {
    const stop = (why: unknown) => {
      control.abort(why)
      reject(why)
    }
    const timer = setTimeout(() => stop(new Error(`took longer than ${ms} ms`)), ms)
    const abort = () => stop(outer?.reason)
    if (outer?.aborted) abort()
    else outer?.addEventListener('abort', abort)
    const done = () => {
      clearTimeout(timer)
      outer?.removeEventListener('abort', abort)
    }
    // An error that is thrown at once is one of the work's, too.
    Promise.resolve(control.signal).then(work).finally(done).then(resolve, reject)
  })
}
