import { DatabaseSync } from 'node:sqlite'

/**
 * Opens a database file such that each commit is on disk; it is made when it is missing.
 * @param wait how long another process that writes is waited for, in ms
 * @throws when its file system can’t do that
 */
export function openFile(path: string, wait: number): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: wait })
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 8192;',
  )
  refuseUnlessDurable(database)
  return database
}

/** Every answer rests on these two; a file system that can't do WAL would say so only here. */
function refuseUnlessDurable(database: DatabaseSync) {
  const { journal_mode: journal } = database.prepare('PRAGMA journal_mode').get() as { journal_mode: string }
  const { synchronous } = database.prepare('PRAGMA synchronous').get() as { synchronous: number }
  const FULL = 2
  if (journal !== 'wal' || synchronous !== FULL) {
    throw new Error(
      'the data directory is on a file system that can’t keep SQLite’s WAL; name another with --data',
    )
  }
}

/**
 * Two authorities on one file would each miss what the other revokes. The lock goes when it is closed, or the process ends.
 * @param path of the database
 * @throws when another process has it
 */
export function holdAlone(path: string): DatabaseSync {
  const lock = new DatabaseSync(`${path}.lock`, { timeout: 0 })
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;')
    return lock
  } catch {
    lock.close()
    throw new Error(
      'another authority is running on this data directory; stop it, or name another with --data',
    )
  }
}
