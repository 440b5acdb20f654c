import type { ClearStep, Ended } from '../platform.ts'

/** What a logout clears. All but `serviceWorkers` is on unless it is switched off. */
export type Clear = {
  localStorage?: boolean
  sessionStorage?: boolean
  /** Every database of this origin. */
  indexedDB?: boolean
  /** Every cache of this origin: what service workers serve when the network is away, too. */
  cacheStorage?: boolean
  /** Those that script can see. */
  cookies?: boolean
  /** Unregisters them. Otherwise they stay, and are told with `{ type: 'rescind:session-ended' }`. */
  serviceWorkers?: boolean
}

type Options = {
  clear?: Clear
  /** Names of storage keys, databases, caches and cookies that stay: a theme, a language. */
  keep?: string[]
  hooks: Set<(ended: Ended, everywhere: boolean) => unknown>
}

/** The steps of clearing this browser; what all tabs share is left alone unless `everywhere`. */
export function clearSteps(
  { clear = {}, keep = [], hooks }: Options,
  everywhere: boolean,
  ended: Ended,
): ClearStep[] {
  const goes = (name: string | null | undefined): name is string => name != null && !keep.includes(name)
  const steps: Record<string, () => unknown> = {
    sessionStorage: () => clearStorage(sessionStorage, goes),
    ...(everywhere && {
      localStorage: () => clearStorage(localStorage, goes),
      async indexedDB() {
        const names = (await indexedDB.databases()).map(({ name }) => name)
        await Promise.all(
          names
            .filter(goes)
            .filter((name) => !name.startsWith('rescind:'))
            .map(dropDatabase),
        )
      },
      cacheStorage: () => clearCaches(keep),
      cookies: () => clearCookies(goes),
      async serviceWorkers() {
        for (const one of await navigator.serviceWorker.getRegistrations()) {
          one.active?.postMessage({ type: 'rescind:session-ended', reason: ended.reason })
          if (clear.serviceWorkers) await one.unregister()
        }
      },
    }),
  }
  const chosen = Object.entries(steps).filter(
    ([name]) => name === 'serviceWorkers' || clear[name as keyof Clear] !== false,
  )
  const own = [...hooks].map(
    (hook, n): ClearStep => ({ name: `onClear ${n + 1}`, run: () => hook(ended, everywhere) }),
  )
  return [...chosen.map(([name, run]) => ({ name, run })), ...own]
}

export async function clearCaches(keep: string[] = []): Promise<void> {
  const names = (await caches.keys()).filter((name) => !keep.includes(name))
  await Promise.all(names.map((name) => caches.delete(name)))
}

function clearStorage(storage: Storage, goes: (name: string | null) => boolean) {
  const names = Array.from({ length: storage.length }, (_, n) => storage.key(n))
  for (const name of names.filter(goes)) storage.removeItem(name as string)
}

/** Deleted, or sure to be as soon as the last page that has it open is gone. */
function dropDatabase(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name)
    request.onsuccess = request.onblocked = () => resolve()
    request.onerror = () => reject(request.error)
  })
}

/** A cookie goes only under the path and the domain that it was set with, which script can't see: so all that there may be. */
function clearCookies(goes: (name: string) => boolean) {
  const labels = location.hostname.split('.')
  const domains = ['', ...labels.map((_, n) => `; domain=${labels.slice(n).join('.')}`)]
  const steps = location.pathname.split('/')
  const paths = ['/', ...steps.map((_, n) => steps.slice(0, n + 1).join('/') || '/')]
  for (const pair of document.cookie.split(/; */)) {
    const name = pair.split('=', 1)[0] ?? ''
    if (pair === '' || !goes(name)) continue
    const all = domains.flatMap((domain) => paths.map((path) => `${name}=; path=${path}${domain}; max-age=0`))
    for (const gone of all) {
      // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is not everywhere, and can't choose a path
      document.cookie = gone
    }
  }
}
