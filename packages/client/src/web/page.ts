/** What a page hears of its own life. */
type Listeners = {
  /** Back from sleep, in sight or back online: something may have changed. @returns whether the page may be seen */
  wake(): Promise<boolean>
  /** Put away, perhaps to be shown again as it is. */
  sleep(): unknown
}

/**
 * Follows the life of this page. While it is put away for the back button it is hidden, and it is shown again only when `wake`
 * has come to an end: nobody sees for a moment what they are not to see any more.
 */
export function followPage({ wake, sleep }: Listeners): () => void {
  const { documentElement } = document
  const stop = new AbortController()
  const { signal } = stop
  addEventListener('online', wake, { signal })
  document.addEventListener('resume', wake, { signal })
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && wake(), {
    signal,
  })
  addEventListener(
    'pagehide',
    () => {
      documentElement.style.visibility = 'hidden'
      sleep()
    },
    { signal },
  )
  addEventListener(
    'pageshow',
    async ({ persisted }) => {
      if (persisted && (await wake())) documentElement.style.visibility = ''
    },
    { signal },
  )
  return () => stop.abort()
}
