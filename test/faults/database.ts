import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { Client } from 'pg'
import { type Postgres, startPostgres } from '../postgres.ts'
import { joinReplica, promote, REPLICATING } from './replica.ts'
import { mountSmallDisk, type SmallDisk } from './small-disk.ts'

/** The database of all processes, and what can happen to it. */
export type Database = {
  /** The port of the server that is the primary. */
  port(): number
  /** Its address through a port. */
  url(port?: number): string
  /** Ends it as a power failure does. */
  kill(): Promise<void>
  start(): Promise<void>
  /** SIGSTOP and SIGCONT of the server and all its children. */
  halt(): void
  goOn(): void
  /** Absent where no small file system can be mounted. */
  disk?: SmallDisk
  /** The primary dies and its replica takes over; then it gets a new one. @returns the port of the new primary */
  failOver?(moved: (port: number) => void): Promise<void>
  stop(): Promise<void>
}

const NAME = 'faults'
const SETTINGS = ['-c', 'shared_buffers=64MB']

/** @param replica whether it has a synchronous streaming replica */
export async function startDatabase(replica: boolean): Promise<Database> {
  let primary = await startPostgres([...SETTINGS, ...(replica ? REPLICATING : [])])
  const all: Postgres[] = [primary]
  const disk = replica ? undefined : mountSmallDisk(join(primary.folder, 'small'))
  if (disk) await run(primary.url, `CREATE TABLESPACE small LOCATION '${disk.folder}'`)
  await run(primary.url, `CREATE DATABASE ${NAME} ${disk ? 'TABLESPACE small' : ''}`)
  let standby = replica ? await joinReplica(primary, SETTINGS) : undefined
  if (standby) all.push(standby)
  const signal = (name: NodeJS.Signals) => {
    for (const pid of familyOf(primary.pid)) {
      try {
        process.kill(pid, name)
      } catch {
        // It has ended meanwhile.
      }
    }
  }
  return {
    ...(disk ? { disk } : {}),
    port: () => primary.port,
    url: (port = primary.port) => primary.url.replace(/:\d+\/.*$/, `:${port}/${NAME}`),
    kill: () => primary.kill(),
    start: () => primary.start(),
    halt: () => signal('SIGSTOP'),
    goOn: () => signal('SIGCONT'),
    ...(replica
      ? {
          async failOver(moved) {
            if (!standby) throw new Error('there is no replica to take over')
            const next = standby
            standby = undefined
            await primary.kill()
            await promote(next)
            primary = next
            moved(primary.port)
            standby = await joinReplica(primary, SETTINGS)
            all.push(standby)
          },
        }
      : {}),
    async stop() {
      signal('SIGCONT')
      for (const one of all.reverse()) await one.kill()
      disk?.unmount()
      for (const one of all) await one.stop()
    },
  }
}

export async function run(url: string, sql: string) {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query(sql)
  } finally {
    await client.end()
  }
}

/** A process and its children. */
function familyOf(pid: number): number[] {
  if (pid === 0) return []
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number))
  return [pid, ...pairs.flatMap(([child = 0, parent]) => (parent === pid ? [child] : []))]
}
