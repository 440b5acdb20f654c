import { type Dialect, type Kind, type Row, TABLES, type Table, type Value } from '../store/moving.ts'

/*
 * An export is JSON lines: a header, a line for each row, and a trailer with the number of rows of each table and the SHA-256
 * of all bytes before it. Sealed bytes are base64url.
 */

export const FORMAT = 'rescind-export'
export const VERSION = 1

export type Header = {
  format: typeof FORMAT
  version: typeof VERSION
  dialect: Dialect
  /** Of the store that it is of. */
  schema: number
  /** When it was made, in ISO 8601. */
  at: string
  /** Whether an authority was running on that store: what it did afterwards is not in here. */
  running: boolean
  /** The columns of each table, in the order of a row’s values. */
  tables: Record<string, string[]>
}

/** How many rows there are of each table. */
export type Counts = Record<string, number>
export type Trailer = { end: { rows: Counts; sha256: string } }

/** What the rows of a table are in a file. */
export type Layout = { table: Table; columns: string[]; kinds: Kind[] }

export function headerOf(facts: Pick<Header, 'dialect' | 'schema' | 'at' | 'running'>): Header {
  const tables = Object.fromEntries(TABLES.map(({ name, columns }) => [name, Object.keys(columns)]))
  return { format: FORMAT, version: VERSION, ...facts, tables }
}

export function lineOf({ name }: Table, row: Row): string {
  return JSON.stringify([name, ...row.map(written)])
}

function written(value: Value): Value {
  if (!(value instanceof Uint8Array)) return value
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64url')
}

/** @returns nothing when it is no row of this layout */
export function readRow({ kinds }: Layout, line: unknown[]): Row | undefined {
  if (line.length !== kinds.length + 1) return undefined
  const row: Row = []
  for (const [n, kind] of kinds.entries()) {
    const value = line[n + 1]
    if (value === null) row.push(null)
    else if (!IS[kind](value)) return undefined
    else row.push(kind === 'bytes' ? Buffer.from(value as string, 'base64url') : (value as Value))
  }
  return row
}

const IS: Record<Kind, (value: unknown) => boolean> = {
  text: (value) => typeof value === 'string',
  int: (value) => Number.isSafeInteger(value),
  flag: (value) => typeof value === 'boolean',
  bytes: (value) => typeof value === 'string',
}
