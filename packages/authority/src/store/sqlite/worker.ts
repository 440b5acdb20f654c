import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import type { Policy } from '../../domain/policy.ts'
import type { LoggedRevocation } from '../../domain/revocation.ts'
import { apply } from '../apply.ts'
import { lifetimesMark } from '../lifetimes.ts'
import type { Query, Transaction } from '../store.ts'
import { holdAlone, openFile } from './file.ts'
import { answer } from './queries.ts'
import { migrate } from './schema.ts'
import { openTables, type SqliteTables as Tables } from './tables.ts'

/*
 * The thread that owns the database. It is handed whatever has gathered while it was busy, writes all of it in
 * one transaction with one sync, and only then answers: group commit without a timer.
 */

export type StoreOptions = { path: string; policy: Policy; exclusive: boolean }
export type Job = { id: number; transaction?: Transaction; query?: Query }
export type Reply = { id: number; value: unknown } | { id: number; unavailable: string }
export type Batch = { replies: Reply[]; revocations: LoggedRevocation[]; outsideChange: boolean }

/** Nobody waits when nothing has come for so long, in ms: then indexes are settled, so many rows at once. */
const QUIET = 20
const SETTLE_AT_ONCE = 64
/** More than so many rows do not wait for that: whoever adds to them settles twice as many. */
const MOST_UNSETTLED = 50_000

const FORGET_EVERY = 30_000
const FORGET_AT_ONCE = 2_000

const held: DatabaseSync[] = []
const port = parentPort
if (!port) throw new Error('the store runs as a worker thread')
const options = workerData as StoreOptions
const { db, tables } = open(options)

let outsideChange = false
/** What another process revoked: announced with what we do next. */
const missed: LoggedRevocation[] = []
let lastForgotten = 0

port.on('message', (jobs: Job[] | 'close') => {
  clearTimeout(settling)
  if (jobs === 'close') {
    db.close()
    port.close()
    return
  }
  port.postMessage(runBatch(jobs))
  if (options.exclusive) settleIn(QUIET)
})
port.postMessage({
  replies: [{ id: 0, value: 'ready' }],
  revocations: [],
  outsideChange: false,
} satisfies Batch)

const watch = setInterval(() => {
  try {
    if (lookOutside())
      port.postMessage({ replies: [], revocations: missed.splice(0), outsideChange: true } satisfies Batch)
  } catch {
    // The next transaction will meet the same fault and answer for it.
  }
}, 500)
watch.unref()

let settling: NodeJS.Timeout | undefined
function settleIn(ms: number) {
  settling = setTimeout(settleSome, ms)
}
function settleSome() {
  try {
    // What another process has written is left to `watch` and to the next batch, which tell of it.
    db.exec('BEGIN IMMEDIATE')
    const more = tables.settle(SETTLE_AT_ONCE)
    db.exec('COMMIT')
    // What has come meanwhile goes first.
    if (more) settleIn(0)
  } catch {
    if (db.isTransaction) db.exec('ROLLBACK')
    settleIn(1_000)
  }
}
if (options.exclusive) settleIn(QUIET)

/** Whether another process has written; what it revoked is read from the log. */
function lookOutside(): boolean {
  const { seq } = tables.newest()
  if (!tables.refreshHeads()) return false
  tables.readCutOffs()
  for (let after = seq; after < tables.head().seq; after = missed.at(-1)?.seq ?? tables.head().seq)
    missed.push(...tables.revocations(after, 0, 1_000))
  return true
}

function open({ path, policy, exclusive }: StoreOptions) {
  if (exclusive) held.push(holdAlone(path))
  const database = openFile(path, 2_000)
  migrate(database)
  const opened: Tables = openTables(database, policy)
  opened.refreshHeads(true)
  opened.readCutOffs()
  if (exclusive) lookAtAllWhenPolicyChanged(database, policy)
  return { db: database, tables: opened, policy }
}

function runBatch(jobs: Job[]): Batch {
  const writes = jobs.filter((job) => job.transaction)
  const replies: Reply[] = []
  const revocations: LoggedRevocation[] = []
  if (writes.length > 0) commit(writes, replies, revocations)
  revocations.unshift(...missed.splice(0))
  for (const { id, query } of jobs) {
    if (!query) continue
    try {
      replies.push({ id, value: answer(tables, query) })
    } catch (error) {
      replies.push({ id, unavailable: (error as Error).message })
    }
  }
  const changed = outsideChange
  outsideChange = false
  return { replies, revocations, outsideChange: changed }
}

function commit(jobs: Job[], replies: Reply[], revocations: LoggedRevocation[]) {
  try {
    const values = inOneTransaction(jobs)
    for (const [index, { id }] of jobs.entries()) {
      replies.push({ id, value: values[index] })
      revocations.push(...revocationsIn(values[index]))
    }
  } catch (error) {
    if (jobs.length === 1) {
      replies.push({ id: (jobs[0] as Job).id, unavailable: (error as Error).message })
      return
    }
    // One of them may be the cause: each gets a transaction of its own, so that only that one fails.
    for (const job of jobs) commit([job], replies, revocations)
  }
}

function inOneTransaction(jobs: Job[]): unknown[] {
  db.exec('BEGIN IMMEDIATE')
  try {
    if (lookOutside()) outsideChange = true
    const values = jobs.map((job) => apply(tables, options.policy, job.transaction as Transaction))
    forgetNowAndThen(jobs)
    if (tables.unsettled() > MOST_UNSETTLED) tables.settle(2 * jobs.length)
    db.exec('COMMIT')
    return values
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    tables.refreshHeads(true)
    tables.readCutOffs()
    throw error
  }
}

/** Other lifetimes, other ends: every live session is looked at anew by the timer. */
function lookAtAllWhenPolicyChanged(database: DatabaseSync, policy: Policy) {
  const mark = lifetimesMark(policy)
  const known = database.prepare("SELECT value FROM counters WHERE name = 'lifetimes'").get()
  if (known?.value === mark) return
  database.exec('BEGIN IMMEDIATE')
  if (known) database.exec('UPDATE sessions SET due_at = opened_at WHERE ended_seq IS NULL')
  database
    .prepare(
      "INSERT INTO counters (name, value) VALUES ('lifetimes', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1",
    )
    .run(mark)
  database.exec('COMMIT')
}

function forgetNowAndThen(jobs: Job[]) {
  for (const { transaction } of jobs) {
    if (transaction?.kind !== 'write' || transaction.at - lastForgotten < FORGET_EVERY) continue
    const forgotten = tables.forgetExpired(Math.floor(transaction.at / 1000), FORGET_AT_ONCE)
    // A full sweep says that there are more: the next batch goes on.
    lastForgotten = forgotten === FORGET_AT_ONCE ? 0 : transaction.at
  }
}

function revocationsIn(value: unknown): LoggedRevocation[] {
  return (value as { revocations?: LoggedRevocation[] }).revocations ?? []
}
