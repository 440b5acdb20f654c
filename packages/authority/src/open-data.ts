import { existsSync, mkdirSync } from 'node:fs'
import { resolve as absolute, join } from 'node:path'
import type { Config } from './config.ts'
import { RescindError } from './errors.ts'
import { createSeal, masterKey, type Seal } from './keys/seal.ts'
import { openSqliteStore } from './store/sqlite/sqlite.ts'
import { StoreUnavailable } from './store/store.ts'

/**
 * Opens the store, in a database or in a data directory, and the key that its contents are sealed under.
 * @param options.serving for an authority; false for a command that runs beside one
 * @param options.existing do not make one that is not there
 * @throws RescindError NOT_FOUND; StoreUnavailable when it can't be made, read or written
 */
export async function openData(config: Config, options: { serving: boolean; existing?: boolean }) {
  const { store: url, policy } = config
  if (url !== undefined) {
    const seal = openSeal(config)
    const { openPostgresStore } = await import('./store/postgres/postgres.ts')
    return { seal, store: await openPostgresStore({ url, policy, serving: options.serving }) }
  }
  const path = dataFile(config)
  if (options.existing && !existsSync(path)) throw noData(config)
  const seal = openSeal(config)
  const store = await openSqliteStore({ path, policy, exclusive: options.serving })
  return { store, seal }
}

/** Where an embedded store is. */
export const dataFile = ({ data }: Config) => join(data, 'rescind.db')

export function noData({ data }: Config): RescindError {
  return new RescindError(
    'NOT_FOUND',
    `There is no data in ${absolute(data)}. Name where it is with --data or --config.`,
  )
}

/** The key that contents are sealed under, where it is there already: none is made. */
export function sealInPlace(config: Config): Seal | undefined {
  const { data, masterKey: configured } = config
  return configured === undefined && !existsSync(keyFile(data)) ? undefined : openSeal(config)
}

const keyFile = (data: string) => join(data, 'master.key')

function openSeal({ data, masterKey: configured }: Config): Seal {
  try {
    mkdirSync(data, { recursive: true, mode: 0o700 })
    return createSeal(masterKey(configured, keyFile(data)))
  } catch (error) {
    // What the system says; a key that is no key says so itself.
    const { code, syscall } = error as NodeJS.ErrnoException
    if (syscall === undefined) throw error
    throw new StoreUnavailable(`the data directory ${absolute(data)} can’t be made or written (${code})`)
  }
}
