const SESSION = 'session'
const OUTBOX = 'outbox'

/** Our database in the browser; each of its transactions is on the disk when it resolves. */
export function createDatabase(name: string) {
  let opened: Promise<IDBDatabase> | undefined

  function database(): Promise<IDBDatabase> {
    opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1)
      request.onupgradeneeded = () => {
        request.result.createObjectStore(SESSION)
        request.result.createObjectStore(OUTBOX, { keyPath: 'sid' })
      }
      request.onerror = () => reject(request.error)
      request.onsuccess = () => {
        const db = request.result
        const forget = () => {
          opened = undefined
          db.close()
        }
        // Who deletes it, or clears the site's data, must not have to wait for us.
        db.onversionchange = db.onclose = forget
        resolve(db)
      }
    })
    opened.catch(() => {
      opened = undefined
    })
    return opened
  }

  /** Runs requests in one transaction, and resolves once it is on the disk. Nothing else may be waited for in it. */
  return async <T>(
    mode: IDBTransactionMode,
    work: (session: IDBObjectStore, outbox: IDBObjectStore) => Promise<T>,
  ): Promise<T> => {
    const tx = (await database()).transaction([SESSION, OUTBOX], mode, { durability: 'strict' })
    const done = new Promise((resolve, reject) => {
      tx.oncomplete = resolve
      tx.onabort = () => reject(tx.error)
    })
    const [result] = await Promise.all([work(tx.objectStore(SESSION), tx.objectStore(OUTBOX)), done])
    return result
  }
}

/** What a request gives. */
export function of<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
