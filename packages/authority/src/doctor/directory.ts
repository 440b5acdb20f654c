import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SCHEMA } from '../store/sqlite/schema.ts'
import { type Looked, schemaFinding, USED } from './database.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

const MB = 1024 * 1024

/** Looks at a data directory with the embedded store in it, and changes nothing there. */
export function checkDirectory(data: string): Looked {
  const path = join(data, 'rescind.db')
  const where = resolve(data)
  if (!existsSync(data)) {
    const says = `${where} does not exist; the first start makes it. Is it the one that you mean?`
    return { findings: [warn('data', says)], current: false, empty: true }
  }
  try {
    accessSync(data, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const says = `${where} can’t be read and written by this user: ${reason(error)}.`
    return { findings: [fail('data', says)], current: false, empty: false }
  }
  const findings = [reached(data, where)]
  if (!existsSync(path))
    return { findings: [...findings, ok('schema', 'There is no data yet.')], current: false, empty: true }
  try {
    const db = new DatabaseSync(path, { readOnly: true, timeout: 2_000 })
    const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    const schema = schemaFinding(version, SCHEMA)
    const current = schema.level === 'ok'
    const empty = current && db.prepare(USED).get() === undefined
    db.close()
    return { findings: [...findings, schema], current: current && !empty, empty }
  } catch (error) {
    const says = `${resolve(path)} can’t be read: ${reason(error)}. Restore it from your backup.`
    return { findings: [...findings, fail('data', says)], current: false, empty: false }
  }
}

function reached(data: string, where: string): Finding {
  const open = process.platform !== 'win32' && (statSync(data).mode & 0o077) !== 0
  if (open) return warn('data', `${where} is open to other users. Close it: chmod 700 ${where}`)
  return ok('data', `${where} can be read and written.`)
}

/** How much room there is where the data is, or, with a database, the key. */
export function checkDisk(data: string): Finding {
  const at = existsSync(data) ? data : dirname(resolve(data))
  const { bavail, bsize, blocks } = statfsSync(at)
  const free = (bavail * bsize) / MB
  const says = `${Math.round(free)} MB (${Math.round((bavail / blocks) * 100)} %) are free at ${resolve(at)}.`
  if (free < 100) return fail('disk', `${says} Make room: what can’t be written is refused.`)
  return free < 1_000 ? warn('disk', `${says} Make room soon.`) : ok('disk', says)
}
