import { hash } from 'node:crypto'
import type { Client } from 'pg'
import type { Policy } from '../../domain/policy.ts'
import type { LoggedRevocation } from '../../domain/revocation.ts'
import { createCutOffIndex } from '../cut-off-index.ts'
import {
  type AnswerOf,
  type OutcomeOf,
  type Query,
  type Store,
  StoreUnavailable,
  type Transaction,
} from '../store.ts'
import { connect, createReaders, refuseUnlessDurable } from './connection.ts'
import { createAnnouncer } from './follow.ts'
import { commitGroup, type Group } from './group.ts'
import { createQueries } from './queries.ts'
import { migrate } from './schema.ts'

/** So many requests may wait for the database; more than that are refused at once. */
const MAX_WAITING = 50_000
/** So many share a commit. */
const MOST_AT_ONCE = 2_000
/** After a connection could not be made nobody waits for the next one, for so long, in ms. */
const REST = 500
const FORGET_EVERY = 30_000
/** Held by the authority that runs on a database. */
const ALONE = 7_236_411

export type PostgresOptions = {
  url: string
  policy: Policy
  /** Whether it is the authority itself, of which there is one; false for the command line beside it. */
  exclusive: boolean
}

/**
 * Opens the store on a PostgreSQL database; what is missing there is made.
 * @throws StoreUnavailable when it can’t be opened, or another authority runs on it
 */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  const { url, policy } = options
  const writer = createWriter(options)
  const pool = createReaders(url)
  try {
    await writer.connected()
  } catch (error) {
    await Promise.all([writer.close(), pool.end()])
    throw new StoreUnavailable((error as Error).message)
  }
  const announcer = createAnnouncer(url, pool, () => {})
  const cutOffs = async () => {
    const { rows } = await pool.query('SELECT body FROM cut_offs ORDER BY seq')
    return createCutOffIndex(rows.map(({ body }) => JSON.parse(body)))
  }
  const ask = createQueries(pool, policy, cutOffs)
  let reading = 0

  return {
    async transact<T extends Transaction>(transaction: T) {
      const { value, logged } = await writer.submit(transaction)
      // Everybody hears of a revocation before anybody is told that it succeeded.
      await announcer.announce(logged).catch((error: Error) => {
        // It is durable, and asking again will say so; but whoever is told so now could find the token alive here.
        throw new StoreUnavailable(error.message)
      })
      return value as OutcomeOf<T>
    },
    async read<Q extends Query>(query: Q): Promise<AnswerOf<Q>> {
      if (reading >= MAX_WAITING) throw new StoreUnavailable('too many requests are waiting')
      reading++
      try {
        const answer = await ask(query)
        if (query.kind === 'head') announcer.begin((answer as { seq: number }).seq)
        return answer
      } finally {
        reading--
      }
    },
    onRevocation: announcer.hear,
    onOutsideChange: announcer.hearKeys,
    async close() {
      await writer.close()
      await announcer.stop()
      await pool.end()
    },
  }
}

type Waiter = {
  transaction: Transaction
  resolve(answer: { value: unknown; logged: LoggedRevocation[] }): void
  reject(error: Error): void
}

/** One connection that writes, in groups: what comes while it is busy goes together. */
function createWriter({ url, policy, exclusive }: PostgresOptions) {
  let client: Client | undefined
  let failedAt = -Infinity
  const waiting: Waiter[] = []
  let busy: Promise<void> | undefined
  let closed = false

  async function connected(): Promise<Client> {
    if (client) return client
    if (performance.now() - failedAt < REST) throw new Error('the database can’t be reached')
    try {
      const made = await connect(url, (gone) => {
        if (client === gone) client = undefined
      })
      await refuseUnlessDurable(made)
      await migrate(made)
      if (exclusive) await holdAlone(made, policy)
      client = made
      return made
    } catch (error) {
      failedAt = performance.now()
      throw error
    }
  }
  const forgetBefore = createForgetting()
  /** One of them may be the cause: then each gets a transaction of its own, so that only that one fails. */
  async function commit(group: Waiter[]): Promise<void> {
    let on: Client | undefined
    try {
      on = await connected()
      const transactions = group.map(({ transaction }) => transaction)
      const { values, logged } = await commitGroup(on, transactions, policy, forgetBefore(transactions))
      answer(group, { values, logged })
    } catch (error) {
      const lost = !on || client !== on || isLost(error)
      if (lost && client === on) client = undefined
      if (lost && on) on.end().catch(() => {})
      if (!lost && group.length > 1) for (const one of group) await commit([one])
      else for (const one of group) one.reject(new StoreUnavailable((error as Error).message))
    }
  }
  async function pump() {
    // What arrives in the same turn of the event loop shares a group even when nothing is under way.
    await Promise.resolve()
    while (waiting.length > 0) await commit(waiting.splice(0, MOST_AT_ONCE))
    busy = undefined
  }
  return {
    connected,
    submit(transaction: Transaction) {
      if (closed) return Promise.reject(new StoreUnavailable('it is closing'))
      if (waiting.length >= MAX_WAITING)
        return Promise.reject(new StoreUnavailable('too many requests are waiting'))
      return new Promise<{ value: unknown; logged: LoggedRevocation[] }>((resolve, reject) => {
        waiting.push({ transaction, resolve, reject })
        busy ??= pump()
      })
    },
    async close() {
      closed = true
      await busy
      await client?.end().catch(() => {})
    },
  }
}

/** Now and then what has expired is forgotten: what expired before this, in s. */
function createForgetting() {
  let last = 0
  return (transactions: Transaction[]): number | undefined => {
    const at = Math.max(0, ...transactions.map((one) => (one.kind === 'write' ? one.at : 0)))
    if (at - last < FORGET_EVERY) return undefined
    last = at
    return Math.floor(at / 1000)
  }
}

/** Each is answered with its value, and with all that was logged up to the end of the group. */
function answer(group: Waiter[], { values, logged }: Group) {
  for (const [n, { resolve }] of group.entries()) resolve({ value: values[n], logged })
}

/** Whether the connection is of no use any more: an error of the server itself has a code of five characters. */
function isLost(error: unknown): boolean {
  const { code } = error as { code?: string }
  return !/^[0-9A-Z]{5}$/.test(code ?? '') || /^(08|57P)/.test(code ?? '')
}

/** Two authorities on one database would send every mail twice, and count failures apart. It goes with the connection. */
async function holdAlone(client: Client, policy: Policy) {
  const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS alone', [ALONE])
  if (!rows[0].alone) {
    await client.end().catch(() => {})
    throw new Error('another authority is running on this database; stop it, or name another database')
  }
  await lookAtAllWhenPolicyChanged(client, policy)
}

/** Other lifetimes, other ends: every live session is looked at anew by the timer. */
async function lookAtAllWhenPolicyChanged(client: Client, { sessionIdle, sessionAbsolute, clients }: Policy) {
  const lifetimes = JSON.stringify([sessionIdle, sessionAbsolute, clients])
  const mark = Number.parseInt(hash('sha256', lifetimes).slice(0, 12), 16)
  const { rows } = await client.query("SELECT value FROM counters WHERE name = 'lifetimes'")
  if (rows[0]?.value === mark) return
  await client.query('BEGIN')
  if (rows[0]) await client.query('UPDATE sessions SET due_at = opened_at WHERE ended_seq IS NULL')
  await client.query(
    "INSERT INTO counters VALUES ('lifetimes', $1) ON CONFLICT (name) DO UPDATE SET value = $1",
    [mark],
  )
  await client.query('COMMIT')
}
