import { createHash } from 'node:crypto'
import { type Snapshot, TABLES } from '../store/moving.ts'
import { type Counts, headerOf, lineOf, type Trailer } from './format.ts'

/** So much is written at once, in characters. */
const CHUNK = 256 * 1024

/**
 * Writes a whole store.
 * @param write takes the next piece, and resolves when it may have more
 * @param at when, in ms
 * @param onRows hears how many rows there are so far
 */
export async function exportStore(
  snapshot: Snapshot,
  write: (text: string) => Promise<void>,
  at: number,
  onRows: (rows: number) => void = () => {},
): Promise<Counts> {
  const { dialect, schema, running } = snapshot
  const digest = createHash('sha256')
  const counts: Counts = {}
  let text = ''
  let total = 0
  async function flush() {
    digest.update(text)
    await write(text)
    text = ''
  }
  const header = headerOf({ dialect, schema, running, at: new Date(at).toISOString() })
  text += `${JSON.stringify(header)}\n`
  for (const table of TABLES) {
    let count = 0
    for await (const rows of snapshot.rows(table)) {
      for (const row of rows) {
        text += `${lineOf(table, row)}\n`
        if (text.length >= CHUNK) await flush()
      }
      count += rows.length
      total += rows.length
      onRows(total)
    }
    counts[table.name] = count
  }
  await flush()
  const trailer: Trailer = { end: { rows: counts, sha256: digest.digest('base64url') } }
  await write(`${JSON.stringify(trailer)}\n`)
  return counts
}
