import { spawnSync } from 'node:child_process'
import { appendFileSync, chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { NOBODY, type Postgres, startPostgres } from '../postgres.ts'

/** How a primary is started that is to have a replica. */
export const REPLICATING = ['-c', 'wal_level=replica', '-c', 'max_wal_senders=8', '-c', 'wal_keep_size=512MB']

const PATIENCE = 30_000

/**
 * Starts a replica from a copy of the files of a primary that goes on running, and makes the primary wait for it at each
 * commit. (What PostgreSQL has for making copies is not in the package from npm.)
 */
export async function joinReplica(primary: Postgres, settings: string[]): Promise<Postgres> {
  const replica = await startPostgres([...settings, ...REPLICATING, '-c', 'hot_standby=on'], (db) =>
    copyFiles(primary, db),
  )
  const client = new Client({ connectionString: primary.url })
  await client.connect()
  try {
    await client.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await client.query('SELECT pg_reload_conf()')
    await until(async () => {
      const { rows } = await client.query("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'")
      return rows.length > 0
    })
  } finally {
    await client.end()
  }
  return replica
}

/** A backup as the documentation describes it (“Making a Base Backup Using the Low Level API”). */
async function copyFiles(primary: Postgres, db: string): Promise<void> {
  const client = new Client({ connectionString: primary.url })
  await client.connect()
  try {
    await client.query("SELECT pg_backup_start('replica', true)")
    // Files come and go while it copies: the log makes up for that.
    spawnSync('cp', ['-a', join(primary.folder, 'db'), db])
    const { rows } = await client.query('SELECT labelfile FROM pg_backup_stop(false)')
    writeFileSync(join(db, 'backup_label'), rows[0].labelfile)
  } finally {
    await client.end()
  }
  for (const name of ['postmaster.pid', 'postmaster.opts']) rmSync(join(db, name), { force: true })
  writeFileSync(join(db, 'standby.signal'), '')
  const from = `host=127.0.0.1 port=${primary.port} user=rescind application_name=replica`
  appendFileSync(
    join(db, 'postgresql.auto.conf'),
    `\nprimary_conninfo = '${from}'\nsynchronous_standby_names = ''\n`,
  )
  chmodSync(db, 0o700)
  if (process.getuid?.() === 0) spawnSync('chown', ['-R', `${NOBODY}:${NOBODY}`, db])
}

/** Makes a replica the primary; resolves once it takes what is written. */
export async function promote(replica: Postgres): Promise<void> {
  const client = new Client({ connectionString: replica.url })
  await client.connect()
  try {
    await client.query('SELECT pg_promote(true, 30)')
    await until(async () => {
      const { rows } = await client.query('SELECT pg_is_in_recovery() AS standby')
      return rows[0].standby === false
    })
  } finally {
    await client.end()
  }
}

async function until(done: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + PATIENCE; !(await done()); ) {
    if (Date.now() > end) throw new Error('the replica did not come about')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
