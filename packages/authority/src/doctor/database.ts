import type { Client } from 'pg'
import { CONNECTIONS, connect, hangUp } from '../store/postgres/connection.ts'
import { SCHEMA } from '../store/postgres/schema.ts'
import { compareClocks } from './clock.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

const OLDEST = 150_000

type Facts = Record<
  'version' | 'fsync' | 'full_page_writes' | 'synchronous_standby_names' | 'max_connections' | 'reserved',
  string
> & { server: string; commit: string; used: string; now: string; in_recovery: boolean }

const FACTS = `SELECT current_setting('server_version_num') AS version, current_setting('server_version') AS server,
  current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
  (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') AS commit,
  current_setting('synchronous_standby_names') AS synchronous_standby_names,
  current_setting('max_connections') AS max_connections,
  current_setting('superuser_reserved_connections') AS reserved,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::text AS used,
  (extract(epoch FROM clock_timestamp()) * 1000)::text AS now, pg_is_in_recovery() AS in_recovery`

/** Has a row when somebody has used the tables. What `rescind migrate` alone has made needs no master key yet. */
export const USED = 'SELECT 1 FROM keys UNION ALL SELECT 1 FROM audit LIMIT 1'

export type Looked = {
  findings: Finding[]
  /** Whether it can be read as it is: its tables are those of this version. */
  current: boolean
  /** Whether there is nothing in it yet. */
  empty: boolean
}

/** Looks at a PostgreSQL server and database, and changes nothing in it. */
export async function checkDatabase(url: string): Promise<Looked> {
  let client: Client
  try {
    client = await connect(url, () => {})
  } catch (error) {
    const says = `The database can’t be reached: ${reason(error)}. Look at \`store\`, the server and what is between.`
    return { findings: [fail('database', says)], current: false, empty: false }
  }
  try {
    const asked = Date.now()
    const { rows } = await client.query(FACTS)
    const facts = rows[0] as Facts
    const here = (asked + Date.now()) / 2
    const { level, empty } = await schemaOf(client)
    return {
      findings: [
        ...serverFindings(facts),
        connections(facts),
        level,
        compareClocks('the database', Number(facts.now), here),
      ],
      ...{ current: level.level === 'ok' && !empty, empty },
    }
  } catch (error) {
    const says = `The database does not answer: ${reason(error)}.`
    return { findings: [fail('database', says)], current: false, empty: false }
  } finally {
    hangUp(client)
  }
}

function serverFindings(facts: Facts): Finding[] {
  const { version, server, fsync, full_page_writes: whole, commit, in_recovery: standby } = facts
  const synchronous = facts.synchronous_standby_names
  return [
    standby
      ? fail('database', 'This server is a standby, which takes no writes. Name the primary in `store`.')
      : Number(version) < OLDEST
        ? fail('database', `This is PostgreSQL ${server}; it has to be 15 or newer. Upgrade it.`)
        : ok('database', `PostgreSQL ${server} answers.`),
    fsync === 'on' && whole === 'on'
      ? ok('durability', 'fsync and full_page_writes are on.')
      : fail(
          'durability',
          `fsync is ${fsync}, full_page_writes is ${whole}. Both have to be on, or a crash loses data.`,
        ),
    commit === 'off'
      ? warn(
          'durability',
          'synchronous_commit is off by default here; connections of the authority set it on.',
        )
      : ok(
          'durability',
          `synchronous_commit is ${commit} by default; connections of the authority set it on.`,
        ),
    ok(
      'standby',
      synchronous
        ? `Commits wait for a synchronous standby (${synchronous}).`
        : 'There is no synchronous standby: what was answered last can be lost with this server’s disk.',
    ),
  ]
}

function connections({ max_connections: max, reserved, used }: Facts): Finding {
  const processes = Math.floor((Number(max) - Number(reserved)) / CONNECTIONS)
  const says = `An authority uses up to ${CONNECTIONS} connections; the server has ${max}, of which ${used} are in use.`
  if (processes < 1) return fail('connections', `${says} Raise max_connections.`)
  if (processes < 2) return warn('connections', `${says} That is not enough for two. Raise max_connections.`)
  return ok('connections', `${says} That is enough for ${processes} processes.`)
}

async function schemaOf(client: Client): Promise<{ level: Finding; empty: boolean }> {
  const { rows: there } = await client.query("SELECT to_regclass('schema_version') IS NOT NULL AS made")
  if (!there[0].made)
    return { level: ok('schema', 'The database is empty; the first start makes its tables.'), empty: true }
  const { rows } = await client.query('SELECT version FROM schema_version')
  const level = schemaFinding(rows[0]?.version ?? 0, SCHEMA)
  const empty = level.level === 'ok' && (await client.query(USED)).rowCount === 0
  return { level, empty }
}

/** @param found the version of the data, @param ours that of this program */
export function schemaFinding(found: number, ours: number): Finding {
  if (found > ours) {
    const says = `The data is of schema ${found}, this program knows ${ours}. Upgrade Rescind on this machine.`
    return fail('schema', says)
  }
  if (found < ours)
    return warn(
      'schema',
      `The data is of schema ${found}; the next start brings it to ${ours}. Back it up before.`,
    )
  return ok('schema', `The data is of schema ${found}, as this program is.`)
}
