import type { Policy } from '../../domain/policy.ts'
import type { LoggedRevocation } from '../../domain/revocation.ts'
import {
  type AnswerOf,
  type OutcomeOf,
  type Query,
  type Store,
  StoreUnavailable,
  type Transaction,
} from '../store.ts'
import { createReaders } from './connection.ts'
import { createCutOffReading } from './cut-offs.ts'
import { createAnnouncer } from './follow.ts'
import { createQueries } from './queries.ts'
import { createWriter, MAX_WAITING } from './writer.ts'

export type PostgresOptions = {
  url: string
  policy: Policy
  /** Whether it is an authority, of which there may be several; false for the command line beside it. */
  serving: boolean
  /** How many records of a log make a table; for tests. */
  partition?: number
}

/**
 * Opens the store on a PostgreSQL database; what is missing there is made.
 * @throws StoreUnavailable when it can’t be opened
 */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  const { url, policy, serving } = options
  const writer = createWriter(options)
  const pool = createReaders(url)
  const announcer = createAnnouncer({ url, pool, serving })
  let closing: Promise<void> | undefined
  async function close() {
    await writer.close()
    await announcer.stop()
    await pool.end()
  }
  try {
    await writer.connected()
    if (serving) await announcer.ears.open()
  } catch (error) {
    await close()
    throw new StoreUnavailable((error as Error).message)
  }
  const readCutOffs = createCutOffReading()
  const cutOffs = () => readCutOffs(async (sql, values) => (await pool.query(sql, values)).rows)
  const ask = createQueries(pool, policy, cutOffs)
  const unavailable = (error: Error) => {
    throw new StoreUnavailable(error.message)
  }
  // All that shared a commit share this.
  const announced = new WeakMap<readonly LoggedRevocation[], Promise<void>>()
  function announce(logged: readonly LoggedRevocation[]): Promise<void> {
    const under = announced.get(logged) ?? announcer.announce(logged)
    announced.set(logged, under)
    return under
  }
  let reading = 0

  return {
    async transact<T extends Transaction>(transaction: T) {
      const { value, logged } = await writer.submit(transaction)
      // Everybody hears of a revocation before anybody is told that it succeeded. Where that fails it is durable, and asking
      // again will say so; but whoever was told now could find the token alive here.
      if (logged.length > 0) await announce(logged).catch(unavailable)
      return value as OutcomeOf<T>
    },
    async read<Q extends Query>(query: Q): Promise<AnswerOf<Q>> {
      if (reading >= MAX_WAITING) throw new StoreUnavailable('too many requests are waiting')
      reading++
      try {
        const answer = await ask(query)
        if (query.kind === 'head') announcer.begin(answer as AnswerOf<{ kind: 'head' }>)
        return answer
      } finally {
        reading--
      }
    },
    caughtUp: () => announcer.caughtUp().catch(unavailable),
    leads: announcer.ears.leads,
    tellOthers: announcer.ears.say,
    onRevocation: announcer.hear,
    onOutsideChange: announcer.hearChanges,
    onMessage: announcer.hearMessages,
    close: () => (closing ??= close()),
  }
}
