import type { Client } from 'pg'
import { toAccount, toDevice } from '../rows.ts'
import { prepared } from './connection.ts'
import { type Log, oldestPartition } from './partitions.ts'
import { SESSION } from './rows.ts'

/*
 * What a transaction may want to know, and how it is found out: for all transactions of a group at once. The keys are
 * lists, the first of which says what it is.
 */

/** Something that was wanted and has not been loaded. */
export class Missing extends Error {
  readonly key: string
  constructor(key: string) {
    super('not loaded')
    this.key = key
  }
}

type Arguments = (string | number)[]
type Loader = (client: Client, wanted: Arguments[]) => Promise<unknown[]>

// biome-ignore lint/suspicious/noExplicitAny: a row has whatever its statement asks for
type Row = any
const column = (wanted: Arguments[], n: number) => wanted.map((one) => one[n])

/** One question for all that is wanted, its rows found again by a name. */
function byName(sql: string, nameOf: (row: Row) => string, to: (row: Row) => unknown = (row) => row): Loader {
  // No text of PostgreSQL has this character: to ask for it would fail, and with it all that shares the question.
  const canBe = (name: Arguments) => !name.join().includes('\0')
  return async (client, wanted) => {
    const asked = wanted.filter(canBe)
    const columns = (wanted[0] ?? []).map((_, n) => column(asked, n))
    const { rows } = await client.query(prepared(sql, columns))
    const found = new Map(rows.map((row) => [nameOf(row), to(row)]))
    return wanted.map((one) => found.get(one.join(' ')) ?? null)
  }
}

/** One question for each. */
function each(ask: (client: Client, wanted: Arguments) => Promise<unknown>): Loader {
  return async (client, wanted) => {
    const answers: unknown[] = []
    for (const one of wanted) answers.push(await ask(client, one))
    return answers
  }
}

const rowsOf = (sql: string) => each(async (client, wanted) => (await client.query(sql, wanted)).rows)
const countOf = (sql: string) =>
  each(async (client, wanted) => Number((await client.query(sql, wanted)).rows[0]?.n ?? 0))

const LOADERS: Record<string, Loader> = {
  session: byName(`SELECT ${SESSION} FROM sessions WHERE sid = ANY ($1::text[])`, ({ sid }) => sid),
  live: async (client, wanted) => {
    const sql = `SELECT sub, ${SESSION} FROM sessions WHERE sub = ANY ($1::text[]) AND ended_seq IS NULL ORDER BY pos DESC`
    const { rows } = await client.query(sql, [column(wanted, 0)])
    return wanted.map(([sub]) => rows.filter((row) => row.sub === sub))
  },
  due: rowsOf(`SELECT ${SESSION} FROM sessions WHERE due_at <= $1 ORDER BY due_at LIMIT $2`),
  'of-client': rowsOf(`SELECT ${SESSION} FROM sessions WHERE client_id = $1 ORDER BY pos DESC LIMIT $2`),
  record: byName(
    'SELECT r.* FROM records r JOIN unnest($1::text[], $2::text[]) AS w (model, id) USING (model, id)',
    ({ model, id }) => `${model} ${id}`,
  ),
  uid: byName(
    'SELECT r.* FROM records r JOIN unnest($1::text[], $2::text[]) AS w (model, uid) USING (model, uid)',
    ({ model, uid }) => `${model} ${uid}`,
  ),
  account: byName('SELECT * FROM accounts WHERE sub = ANY ($1::text[])', ({ sub }) => sub, toAccount),
  email: byName(
    'SELECT lower(email) AS key, * FROM accounts WHERE lower(email) = ANY ($1::text[])',
    ({ key }) => key,
    toAccount,
  ),
  device: byName('SELECT * FROM devices WHERE id = ANY ($1::text[])', ({ id }) => id, toDevice),
  counter: byName(
    'SELECT * FROM counters WHERE name = ANY ($1::text[])',
    ({ name }) => name,
    ({ value }) => value,
  ),
  'oldest-audit': rowsOf('SELECT n, at, hash FROM audit ORDER BY n LIMIT $1'),
  'oldest-partition': each((client, [log]) => oldestPartition(client, log as Log)),
  'ended-sessions': rowsOf('SELECT sid FROM sessions WHERE ended_at < $1 ORDER BY ended_at LIMIT $2'),
  'waiting-deliveries': countOf("SELECT count(*) AS n FROM deliveries WHERE state = 'waiting'"),
  'waiting-in-lane': countOf("SELECT count(*) AS n FROM deliveries WHERE state = 'waiting' AND lane = $1"),
  'dead-deliveries': countOf("SELECT count(*) AS n FROM deliveries WHERE state = 'dead'"),
  'dead-delivery': countOf("SELECT count(*) AS n FROM deliveries WHERE state = 'dead' AND id = $1"),
}

/** Finds out all that is wanted, a question for each kind. */
export async function load(
  client: Client,
  base: Map<string, unknown>,
  keys: Iterable<string>,
): Promise<void> {
  const byKind = new Map<string, Arguments[]>()
  for (const key of new Set(keys)) {
    const [kind, ...wanted] = JSON.parse(key) as [string, ...Arguments]
    byKind.set(kind, [...(byKind.get(kind) ?? []), wanted])
  }
  for (const [kind, wanted] of byKind) {
    const loader = LOADERS[kind]
    if (!loader) throw new Error(`nothing loads ${kind}`)
    const answers = await loader(client, wanted)
    for (const [n, one] of wanted.entries()) base.set(JSON.stringify([kind, ...one]), answers[n])
  }
}
