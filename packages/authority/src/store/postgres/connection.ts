import { Client, type ClientConfig, Pool, TypeOverrides } from 'pg'

/** For a connection to come about, in ms. */
const CONNECT = 2_000
/** For one statement, in ms; waiting for a lock counts. */
const STATEMENT = 5_000
/** A connection that says nothing for this long is dead, whatever TCP believes, in ms. */
const SILENT = 6_000
/** Who holds the lock that all wait for and does nothing (a process that is paused) loses it, in ms. */
const IDLE_IN_TRANSACTION = 3_000
const READERS = 8
/** What an authority uses at most: one that writes, one that listens, and those that read. */
export const CONNECTIONS = READERS + 2
const INT8 = 20

/** Numbers of ours fit into 53 bits. */
function types(): TypeOverrides {
  const overrides = new TypeOverrides()
  overrides.setTypeParser(INT8, (text: string) => Number(text))
  return overrides
}

/** Whatever the server’s own setting is: an answer comes after the sync, of the replica too where there is a synchronous one. */
const SESSION = {
  synchronous_commit: 'on',
  statement_timeout: STATEMENT,
  idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION,
  timezone: 'UTC',
}

function settings(url: string, own: Record<string, string | number> = {}): ClientConfig {
  const options = Object.entries({ ...SESSION, ...own }).map(([name, value]) => `-c ${name}=${value}`)
  return {
    ...{ connectionString: url, types: types(), connectionTimeoutMillis: CONNECT },
    ...{ options: options.join(' '), query_timeout: SILENT, application_name: 'rescind', keepAlive: true },
  }
}

/**
 * A connection of its own.
 * @param lost hears when it has gone, also if it never came about
 * @param own settings of this connection
 */
export async function connect(
  url: string,
  lost: (client: Client) => void,
  own: Record<string, string | number> = {},
): Promise<Client> {
  const client = new Client(settings(url, own))
  client.on('error', () => lost(client))
  client.on('end', () => lost(client))
  await client.connect()
  return client
}

/**
 * A connection for what takes as long as it takes. Whether the other side is still there is asked by TCP.
 * @param own settings of this connection
 */
export async function connectPatiently(
  url: string,
  own: Record<string, string | number> = {},
): Promise<Client> {
  const alive = { tcp_keepalives_idle: 10, tcp_keepalives_interval: 5, tcp_keepalives_count: 3 }
  const patient = { statement_timeout: 0, idle_in_transaction_session_timeout: 0, ...alive }
  const client = new Client({
    ...settings(url, { ...patient, ...own }),
    ...{ query_timeout: 0, keepAliveInitialDelayMillis: 10_000 },
  })
  // What was under way hears of it by itself.
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Lets go of a connection at once; one that hangs would keep us waiting for its farewell. */
export function hangUp(client: Client): void {
  client.connection?.stream.destroy()
}

/** Connections for reading, bounded. */
export function createReaders(url: string): Pool {
  const pool = new Pool({ ...settings(url), max: READERS, idleTimeoutMillis: 30_000 })
  // One that breaks while nobody uses it is replaced by the next that is needed.
  pool.on('error', () => {})
  return pool
}

/** @throws when what is committed there would not survive a crash */
export async function refuseUnlessDurable(client: Client): Promise<void> {
  const { rows } = await client.query(
    "SELECT current_setting('fsync') AS fsync, current_setting('server_version_num') AS version",
  )
  const [{ fsync, version }] = rows as [{ fsync: string; version: string }]
  if (Number(version) < 150_000) throw new Error('this PostgreSQL is older than 15; upgrade it')
  if (fsync !== 'on')
    throw new Error('this PostgreSQL runs with fsync = off: what it commits does not survive a crash')
}

const names = new Map<string, string>()

/** A statement that the server plans once for each connection; there are a few of them, which never change. */
export function prepared(text: string, values: unknown[]): { name: string; text: string; values: unknown[] } {
  const name = names.get(text) ?? `rescind_${names.size}`
  names.set(text, name)
  return { name, text, values }
}
