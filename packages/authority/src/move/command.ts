import { existsSync, mkdirSync } from 'node:fs'
import { resolve as absolute } from 'node:path'
import type { Config } from '../config.ts'
import { RescindError } from '../errors.ts'
import { opensUnder } from '../keys/ring.ts'
import { dataFile, noData, sealInPlace } from '../open-data.ts'
import type { Migrated } from '../store/moving.ts'
import { migrateDatabase, openDatabaseLoader, openDatabaseSnapshot } from '../store/postgres/move.ts'
import { SCHEMA as POSTGRES } from '../store/postgres/schema.ts'
import { migrateFile, openFileLoader, openFileSnapshot } from '../store/sqlite/move.ts'
import { SCHEMA as SQLITE } from '../store/sqlite/schema.ts'
import { StoreUnavailable } from '../store/store.ts'
import { UsageError } from '../usage-error.ts'
import { exportStore } from './export.ts'
import type { Counts } from './format.ts'
import { importStore, type SealedKey } from './import.ts'
import { fileSink, outputSink } from './sink.ts'

export type MoveCommand = 'migrate' | 'export' | 'import'

/** What was typed. `operand` is the file to import, `file` the one to export to. */
export type MoveGiven = { operand?: string; file?: string; 'while-running'?: boolean }
type Print = (line: string) => Promise<void> | void

/**
 * `rescind migrate|export|import`: a store as a whole.
 * @throws RescindError VALIDATION_ERROR, NOT_FOUND, UNAVAILABLE (the export can’t be written); StoreUnavailable; UsageError
 */
export async function moveCommand(
  command: MoveCommand,
  config: Config,
  given: MoveGiven,
  print: Print,
): Promise<void> {
  if (command !== 'import' && given.operand !== undefined && given.operand !== '')
    throw new UsageError(`rescind ${command} takes no ${given.operand}.`)
  if (command === 'migrate') return print(migrated(await migrateStore(config).catch(unavailable)))
  if (command === 'export') return exportTo(config, given, print)
  if (!given.operand) throw new UsageError('Usage: rescind import FILE')
  return importFrom(config, given.operand, print)
}

function unavailable(error: Error): never {
  throw new StoreUnavailable(error.message)
}

/** The file of an embedded store, in a folder that is there. */
function madeFile(config: Config): string {
  mkdirSync(config.data, { recursive: true, mode: 0o700 })
  return dataFile(config)
}

async function migrateStore(config: Config): Promise<Migrated> {
  return config.store === undefined ? migrateFile(madeFile(config)) : migrateDatabase(config.store)
}

function migrated({ from, to }: Migrated): string {
  if (from === 0) return `The store is made, at schema ${to}.`
  return from === to
    ? `The store is at schema ${to}, the newest.`
    : `The store went from schema ${from} to ${to}.`
}

async function openSnapshot(config: Config) {
  if (config.store !== undefined) return openDatabaseSnapshot(config.store)
  if (!existsSync(dataFile(config))) throw noData(config)
  return openFileSnapshot(dataFile(config))
}

async function exportTo(config: Config, { file, 'while-running': whileRunning }: MoveGiven, print: Print) {
  if (file === undefined && process.stdout.isTTY)
    throw new UsageError('An export is not for reading. Name a file for it: rescind export --file FILE')
  const snapshot = await openSnapshot(config).catch((error) => {
    throw error instanceof RescindError ? error : new StoreUnavailable(error.message)
  })
  try {
    if (snapshot.running && !whileRunning)
      throw new RescindError(
        'VALIDATION_ERROR',
        'An authority is running on this store: what it ends from now on would not be in the export, and would live again ' +
          'where it is imported. Stop it first; or, where that is no harm, say --while-running.',
      )
    const sink = file === undefined ? outputSink() : await fileSink(file)
    try {
      const counts = await exportStore(snapshot, sink.write, Date.now(), progress)
      await sink.finish()
      progress()
      if (file !== undefined) await print(`Exported ${inWords(counts)} to ${absolute(file)}.`)
    } catch (error) {
      await sink.abandon()
      throw error instanceof RescindError ? error : new StoreUnavailable((error as Error).message)
    }
  } finally {
    await snapshot.close()
  }
}

async function importFrom(config: Config, path: string, print: Print) {
  const seal = sealInPlace(config)
  const { header, counts } = await importStore(path, {
    schemas: { sqlite: SQLITE, postgres: POSTGRES },
    open: async () =>
      config.store === undefined ? openFileLoader(madeFile(config)) : openDatabaseLoader(config.store),
    opens: (key: SealedKey) => seal !== undefined && opensUnder(seal, key),
    onRows: progress,
  })
  progress()
  await print(`Imported ${inWords(counts)}, as they were at ${header.at}.`)
  if (header.running)
    process.stderr.write(
      'An authority was running on it then: what that ended afterwards lives again here.\n',
    )
}

function inWords(counts: Counts): string {
  const shown = [
    ['accounts', 'account'],
    ['sessions', 'session'],
    ['revocations', 'revocation'],
    ['audit', 'audit record'],
  ] as const
  const words = shown.map(([table, word]) => {
    const count = counts[table] ?? 0
    return `${count} ${word}${count === 1 ? '' : 's'}`
  })
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

/** How far it is, where somebody is looking. */
function progress(rows?: number) {
  if (process.stderr.isTTY) process.stderr.write(rows === undefined ? '\r\x1b[K' : `\r${rows} rows`)
}
