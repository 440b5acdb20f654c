import type { Client, Pool } from 'pg'
import type { LoggedRevocation } from '../../domain/revocation.ts'
import { connect } from './connection.ts'
import { CHANNEL } from './flush.ts'
import { readLog } from './queries.ts'

/** A notice may be lost, and so may the connection that brings them, in ms. */
const POLL = 1_000
const PAGE = 1_000

export type Announcer = {
  /** Everything up to here was announced before we began. */
  begin(seq: number): void
  hear(listener: (revocation: LoggedRevocation) => void): void
  hearKeys(listener: () => void): void
  /** What we committed ourselves, or read: each is announced once, in the order of the log. */
  announce(revocations: readonly LoggedRevocation[]): Promise<void>
  keysChanged(version: number): void
  stop(): Promise<void>
}

/**
 * Announces the log, ours and that of other processes: woken by a notice for each group that was committed anywhere, with a
 * look now and then behind it.
 */
export function createAnnouncer(url: string, pool: Pool, onError: (error: Error) => void): Announcer {
  const listeners: ((revocation: LoggedRevocation) => void)[] = []
  const keyListeners: (() => void)[] = []
  let known = 0
  let keys = -1
  let stopped = false
  const turns = createTurns()
  const rows = async (sql: string, values: unknown[] = []) => (await pool.query(sql, values)).rows

  function tell(revocation: LoggedRevocation) {
    if (revocation.seq <= known) return
    known = revocation.seq
    for (const hear of listeners) hear(revocation)
  }
  /** Reads what lies between what was announced and `until`. */
  async function readUpTo(until: number) {
    while (known < until) {
      const some = await readLog(rows, known, 0, Math.min(PAGE, until - known))
      if (some.length === 0) break
      for (const one of some) tell(one)
    }
    // What is not in the log any more was over before anybody asked for it.
    known = Math.max(known, until)
  }
  function keysChanged(version: number) {
    const changed = keys >= 0 && version !== keys
    keys = version
    if (changed) for (const hear of keyListeners) hear()
  }
  const look = () =>
    turns.take(async () => {
      if (stopped || listeners.length === 0) return
      const [head] = await rows('SELECT seq, keys FROM heads')
      await readUpTo(head.seq)
      keysChanged(head.keys)
    })

  const ears = createEars(url, () => look().catch(onError))
  // Where it can’t be reached, the next look tries again.
  const wake = () => void ears.open().then(look, look).catch(onError)
  const poll = setInterval(wake, POLL)
  poll.unref()

  return {
    begin(seq) {
      if (listeners.length === 0) known = seq
    },
    hear(listener) {
      listeners.push(listener)
      wake()
    },
    hearKeys: (listener) => void keyListeners.push(listener),
    announce: (revocations) =>
      turns.take(async () => {
        const first = revocations[0]
        if (!first) return
        if (listeners.length > 0) await readUpTo(first.seq - 1)
        for (const one of revocations) tell(one)
      }),
    keysChanged,
    async stop() {
      stopped = true
      clearInterval(poll)
      await turns.over()
      await ears.close()
    },
  }
}

/** One after the other, so that nobody hears of revocations in another order. */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve()
  return {
    take<T>(work: () => Promise<T>): Promise<T> {
      const turn = last.then(work, work)
      last = turn.catch(() => {})
      return turn
    },
    over: () => last,
  }
}

/** The connection that notices come by. @param woken hears each */
function createEars(url: string, woken: () => void) {
  let client: Client | undefined
  let opening: Promise<void> | undefined
  let closed = false
  async function begin() {
    const made = await connect(url, (gone) => {
      if (client === gone) client = undefined
    })
    client = made
    made.on('notification', woken)
    await made.query(`LISTEN ${CHANNEL}`)
  }
  return {
    /** Opens it, unless it is open. */
    async open(): Promise<void> {
      if (closed || client) return
      opening ??= begin().finally(() => {
        opening = undefined
      })
      await opening
    },
    async close() {
      closed = true
      await opening?.catch(() => {})
      await client?.end().catch(() => {})
    },
  }
}
