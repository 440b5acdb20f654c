/*
 * What a store holds, said once for every dialect, so that all of it can be moved from one store to another: row by row and
 * value by value, hashes and sealed bytes as they are.
 */

export type Dialect = 'sqlite' | 'postgres'
/** A `flag` is true, false or absent. */
export type Kind = 'text' | 'int' | 'flag' | 'bytes'
export type Value = string | number | boolean | Uint8Array | null
export type Row = Value[]

export type Table = {
  name: string
  columns: Readonly<Record<string, Kind>>
  /** In which order its rows are moved; `place` is the order in which they were added, which is kept. */
  order: string
}

/** In the order in which they are moved. The keys are first, so that a wrong master key is found before anything is written. */
export const TABLES: readonly Table[] = [
  {
    name: 'keys',
    columns: { kid: 'text', use: 'text', sealed: 'bytes', created_at: 'int', retired_at: 'int' },
    order: 'kid',
  },
  { name: 'counters', columns: { name: 'text', value: 'int' }, order: 'name' },
  { name: 'status_lists', columns: { list: 'int', until: 'int' }, order: 'list' },
  {
    name: 'accounts',
    columns: {
      ...{ sub: 'text', email: 'text', name: 'text', password: 'text', created_at: 'int' },
      ...{ valid_after: 'int', valid_browser: 'text', reset_required: 'flag', review_since: 'int' },
      deactivated_at: 'int',
    },
    order: 'place',
  },
  {
    name: 'devices',
    columns: {
      ...{ id: 'text', sub: 'text', name: 'text', renamed: 'flag', browser: 'text', os: 'text' },
      ...{ kind: 'text', first_seen: 'int', last_seen: 'int', address: 'text', place: 'text' },
    },
    order: 'id',
  },
  {
    name: 'sessions',
    columns: {
      ...{ sid: 'text', sub: 'text', client_id: 'text', opened_at: 'int', browser: 'text', state: 'text' },
      ...{ ended_seq: 'int', ended_at: 'int', ended_reason: 'text', last_seen: 'int', due_at: 'int' },
    },
    order: 'place',
  },
  { name: 'cut_offs', columns: { seq: 'int', body: 'text' }, order: 'seq' },
  { name: 'revocations', columns: { seq: 'int', at: 'int', body: 'text' }, order: 'seq' },
  { name: 'audit_anchor', columns: { id: 'int', n: 'int', hash: 'text', at: 'int' }, order: 'id' },
  {
    name: 'audit',
    columns: {
      ...{ n: 'int', at: 'int', event: 'text', sub: 'text', sid: 'text', body: 'text', hash: 'text' },
    },
    order: 'n',
  },
  {
    name: 'records',
    columns: {
      ...{ model: 'text', id: 'text', payload: 'bytes', expires_at: 'int', consumed_at: 'int' },
      ...{ uid: 'text', sid: 'text' },
    },
    order: 'model, id',
  },
  {
    name: 'deliveries',
    columns: {
      ...{ id: 'text', kind: 'text', topic: 'text', target: 'text', lane: 'text', sub: 'text' },
      ...{ payload: 'bytes', n: 'int', created_at: 'int', next_at: 'int', give_up_at: 'int' },
      ...{ attempts: 'int', state: 'text', forget_at: 'int', last_error: 'text' },
    },
    order: 'id',
  },
]

/** How many rows are moved at once. */
export const AT_ONCE = 2_000

/** A store as it was at one moment. */
export type Snapshot = {
  dialect: Dialect
  schema: number
  /** Whether an authority was running on it: what it does afterwards is not in here. */
  running: boolean
  /** The rows of a table in their order, some at a time. */
  rows(table: Table): AsyncIterable<Row[]>
  close(): Promise<void>
}

/** An empty store that is being filled, in one transaction. */
export type Loader = {
  /** @param columns those of the rows, in their order */
  put(table: Table, columns: readonly string[], rows: Row[]): Promise<void>
  /** Makes all of it durable at once. @throws CommitUnsure, or another error when nothing is there */
  commit(): Promise<void>
  /** What was not committed is gone. */
  close(): Promise<void>
}

/** From which schema to which a store was brought; `from` is 0 where there was none. */
export type Migrated = { from: number; to: number }

/** The store to fill is not empty: it has rows in this table. */
export class NotEmpty extends Error {
  readonly table: string
  constructor(table: string) {
    super(`it already has ${table.replaceAll('_', ' ')}`)
    this.table = table
  }
}

/** The connection broke while all was committed: it may be there, or not. */
export class CommitUnsure extends Error {}
