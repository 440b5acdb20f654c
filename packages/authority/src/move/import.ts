import { RescindError } from '../errors.ts'
import { CommitUnsure, type Dialect, type Loader, NotEmpty } from '../store/moving.ts'
import { StoreUnavailable } from '../store/store.ts'
import type { Counts, Header } from './format.ts'
import { type Part, readExport } from './read.ts'

export type SealedKey = { kid: string; sealed: Uint8Array }

/**
 * Fills an empty store with what was exported, all of it or nothing.
 * @param options.open opens the store to fill; it is not called before the keys are checked
 * @param options.opens whether the master key of this authority opens a key
 * @param options.onRows hears how many rows there are so far
 * @throws RescindError VALIDATION_ERROR, NOT_FOUND; StoreUnavailable. In each case nothing was imported, unless the message says that it isn’t known
 */
export async function importStore(
  path: string,
  options: {
    schemas: Record<Dialect, number>
    open: () => Promise<Loader>
    opens: (key: SealedKey) => boolean
    onRows?: (rows: number) => void
  },
): Promise<{ header: Header; counts: Counts }> {
  let header: Header | undefined
  let loader: Loader | undefined
  let total = 0
  const parts = readExport(path, options.schemas, (one) => {
    header = one
  })
  try {
    for (;;) {
      const { value, done } = await parts.next()
      if (!done) checkKeys(value, options.opens)
      loader ??= await options.open().catch(refuse)
      if (done) {
        await loader.commit().catch(refuse)
        return { header: header as Header, counts: value }
      }
      await loader.put(value.layout.table, value.layout.columns, value.rows).catch((error) => {
        refuse(error, value)
      })
      total += value.rows.length
      options.onRows?.(total)
    }
  } finally {
    await parts.return({})
    await loader?.close()
  }
}

/** They are first in the file. */
function checkKeys({ layout, rows }: Part, opens: (key: SealedKey) => boolean) {
  if (layout.table.name !== 'keys') return
  const [kid, sealed] = ['kid', 'sealed'].map((name) => layout.columns.indexOf(name)) as [number, number]
  if (rows.every((row) => opens({ kid: row[kid] as string, sealed: row[sealed] as Uint8Array }))) return
  throw new RescindError(
    'VALIDATION_ERROR',
    'The keys in this export do not open with the master key here. Bring the one of the store that was exported: its file ' +
      'master.key into the data directory, or RESCIND_MASTER_KEY. Nothing was imported.',
  )
}

function refuse(error: Error & { detail?: string }, part?: Part): never {
  if (error instanceof CommitUnsure)
    throw new StoreUnavailable(
      `the connection broke at the last step (${error.message}), so it may all be there, or nothing. Import again: what is there is never imported twice.`,
    )
  if (error instanceof NotEmpty)
    throw new RescindError(
      'VALIDATION_ERROR',
      `The store is not empty: ${error.message}. Name an empty database, or a data directory without a rescind.db. Nothing was imported.`,
    )
  const why = [error.message, error.detail].filter(Boolean).join('. ')
  if (!part) throw new StoreUnavailable(`${why}. Nothing was imported.`)
  const { layout, through } = part
  throw new StoreUnavailable(
    `it stopped at the ${layout.table.name.replaceAll('_', ' ')}, by line ${through}: ${why}. Nothing was imported.`,
  )
}
