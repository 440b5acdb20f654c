import type { Client } from 'pg'
import type { Policy } from '../../domain/policy.ts'
import type { LoggedRevocation } from '../../domain/revocation.ts'
import { createCutOffIndex } from '../cut-off-index.ts'
import { lifetimesMark } from '../lifetimes.ts'
import { StoreUnavailable, type Transaction } from '../store.ts'
import { connect, hangUp, refuseUnlessDurable } from './connection.ts'
import { createCutOffReading } from './cut-offs.ts'
import { CommitUnknown, commitGroup, type Group, type KnownCutOffs, wasCommitted } from './group.ts'
import { migrate } from './schema.ts'

/** So many requests may wait for the database; more than that are refused at once. */
export const MAX_WAITING = 50_000
/** So many share a commit. */
const MOST_AT_ONCE = 2_000
/** After a connection could not be made nobody waits for the next one, for so long, in ms. */
const REST = 500
const FORGET_EVERY = 30_000
/** Whoever does not know whether the commit went through asks for so long, in ms. */
const PATIENCE = 4_000

type Waiter = {
  transaction: Transaction
  resolve(answer: { value: unknown; logged: LoggedRevocation[] }): void
  reject(error: Error): void
}

type WriterOptions = { url: string; policy: Policy; serving: boolean; partition?: number }

/**
 * One connection that writes, in groups: what comes while it is busy goes together.
 * @param options.serving whether an authority runs on it, and not a command beside one
 * @param options.partition how many records of a log make a table
 */
export function createWriter(options: WriterOptions) {
  const { policy, partition } = options
  const link = createLink(options)
  const forgetBefore = createForgetting()
  const cutOffs: KnownCutOffs = { all: createCutOffIndex(), read: createCutOffReading() }
  const waiting: Waiter[] = []
  let busy: Promise<void> | undefined
  let closed = false

  /** One of them may be the cause: then each half is tried alone, so that only that one fails and few commits are for few. */
  async function commit(waiters: Waiter[]): Promise<void> {
    let on: Client | undefined
    try {
      on = await link.connected()
      const transactions = waiters.map(({ transaction }) => transaction)
      const how = { cutOffs, forgetBefore: forgetBefore(transactions), partition }
      answer(waiters, await commitGroup(on, transactions, policy, how))
    } catch (error) {
      const unknown = error instanceof CommitUnknown
      const lost = unknown || !on || link.hasLost(on) || isLost(error)
      if (lost && on) link.drop(on)
      if (unknown && (await isThere(error))) answer(waiters, error.group)
      else if (!lost && waiters.length > 1) {
        const half = Math.ceil(waiters.length / 2)
        await commit(waiters.slice(0, half))
        await commit(waiters.slice(half))
      } else for (const one of waiters) one.reject(new StoreUnavailable((error as Error).message))
    }
  }
  /** “Unavailable” means that nothing was done: whoever says so has looked, as long as there is somewhere to look. */
  async function isThere({ audit }: CommitUnknown): Promise<boolean> {
    if (!audit) return false
    for (const end = performance.now() + PATIENCE; performance.now() < end; ) {
      let on: Client | undefined
      try {
        on = await link.connected()
        return await wasCommitted(on, audit)
      } catch {
        if (on) link.drop(on)
        await new Promise((resolve) => setTimeout(resolve, REST / 5))
      }
    }
    return false
  }
  async function pump() {
    // What arrives in the same turn of the event loop shares a group even when nothing is under way.
    await Promise.resolve()
    while (waiting.length > 0) await commit(waiting.splice(0, MOST_AT_ONCE))
    busy = undefined
  }
  return {
    connected: link.connected,
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
      await link.close()
    },
  }
}

/** The connection, made again when it is gone. */
function createLink({ url, policy, serving, partition }: WriterOptions) {
  let client: Client | undefined
  let failedAt = -Infinity
  return {
    hasLost: (one: Client) => client !== one,
    async connected(): Promise<Client> {
      if (client) return client
      if (performance.now() - failedAt < REST) throw new Error('the database can’t be reached')
      let made: Client | undefined
      try {
        made = await connect(url, (gone) => {
          if (client === gone) client = undefined
        })
        await refuseUnlessDurable(made)
        await migrate(made, partition)
        if (serving) await lookAtAllWhenPolicyChanged(made, policy)
        client = made
        return made
      } catch (error) {
        failedAt = performance.now()
        if (made) hangUp(made)
        throw error
      }
    },
    drop(one: Client) {
      if (client === one) client = undefined
      hangUp(one)
    },
    close: async () => client?.end().catch(() => {}),
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
function answer(waiters: Waiter[], { values, logged }: Group) {
  for (const [n, { resolve }] of waiters.entries()) resolve({ value: values[n], logged })
}

/** Whether the connection is of no use any more: an error of the server itself has a code of five characters. */
function isLost(error: unknown): boolean {
  const { code = '', severity } = error as { code?: string; severity?: string }
  const ofStandby = code === '25006'
  return !/^[0-9A-Z]{5}$/.test(code) || /^(08|57P)/.test(code) || severity === 'FATAL' || ofStandby
}

/** Other lifetimes, other ends: every live session is looked at anew by the timer. */
async function lookAtAllWhenPolicyChanged(client: Client, policy: Policy) {
  const mark = lifetimesMark(policy)
  const { rows } = await client.query("SELECT value FROM counters WHERE name = 'lifetimes'")
  if (rows[0]?.value === mark) return
  await client.query('BEGIN')
  // As every writer does: a group that has a session in mind writes it before we change it, or reads it after.
  await client.query('SELECT FROM heads FOR UPDATE')
  if (rows[0]) await client.query('UPDATE sessions SET due_at = opened_at WHERE ended_seq IS NULL')
  await client.query(
    "INSERT INTO counters VALUES ('lifetimes', $1) ON CONFLICT (name) DO UPDATE SET value = $1",
    [mark],
  )
  await client.query('COMMIT')
}
