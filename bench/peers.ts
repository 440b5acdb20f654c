import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/* What we compare with is installed here, in the versions of its own lock file, and nowhere near the project. */

const FOLDER = join(import.meta.dirname, 'peers')
const STAMP = join(FOLDER, 'node_modules', '.installed')

/** Installs the peers where they are missing. @throws Error when that fails */
export function installPeers(): void {
  const lock = createHash('sha256').update(readFileSync(join(FOLDER, 'package-lock.json')))
  const wanted = lock.digest('hex')
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) return
  process.stderr.write('Installing what the benchmarks compare with, into bench/peers (once)…\n')
  const args = ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  const npm = process.env.npm_execpath
  const options: SpawnSyncOptions = { cwd: FOLDER, stdio: ['ignore', 'ignore', 'inherit'] }
  const result = npm
    ? spawnSync(process.execPath, [npm, ...args], options)
    : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' })
  if (result.status !== 0)
    throw new Error('The peers could not be installed. Check the npm registry, or leave them out: --no-peers')
  writeFileSync(STAMP, wanted)
}

export type FastJwt = {
  createVerifier(options: Record<string, unknown>): (token: string) => Record<string, unknown>
}

export function loadFastJwt(): FastJwt {
  return createRequire(join(FOLDER, 'package.json'))('fast-jwt') as FastJwt
}
