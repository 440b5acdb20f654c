import type { Pool } from 'pg'
import type { LoggedRevocation, LogPosition } from '../../domain/revocation.ts'
import { createEars } from './ears.ts'
import { readLog } from './queries.ts'
import type { Rows } from './rows.ts'
import { createTurns } from './turns.ts'

/** A notice may be lost, and so may the connection that brings them, in ms. */
const POLL = 1_000
const PAGE = 1_000
const LOOK = 'SELECT seq, tag, keys, clients, pg_is_in_recovery() AS standby FROM heads'

/** `set-back`: the log is not the one that was followed; it has lost its end. */
export type Changed = 'keys' | 'clients' | 'set-back'
export type Announcer = ReturnType<typeof createAnnouncer>

/**
 * Announces the log, ours and that of other processes: woken by a notice for each group that was committed anywhere, with a
 * look now and then behind it.
 * @param options.serving whether an authority runs on it, and not a command beside one
 */
export function createAnnouncer(options: { url: string; pool: Pool; serving: boolean }) {
  const { pool } = options
  const messageListeners: ((message: string) => void)[] = []
  const rows = async (sql: string, values: unknown[] = []) => (await pool.query(sql, values)).rows
  const log = createReading(rows)
  const versions = createVersions()
  const turns = createTurns()
  let stopped = false
  let next: Promise<void> | undefined

  async function look() {
    if (stopped) return
    const [head] = await rows(LOOK)
    if (head.standby) throw new Error('the database is a standby; name the primary')
    await log.readUpTo(head.seq)
    // The newest record is always there: who does not find it has asked a server that lags behind the one that said where the log is.
    if (log.isBefore(head)) throw new Error('the log in the database lacks its end')
    if (!log.isAt(head)) {
      versions.tell('set-back')
      throw new Error('the log in the database is not the one that was followed')
    }
    versions.compare('keys', head.keys)
    versions.compare('clients', head.clients)
  }
  /** Looks; whoever asks before the next look has begun shares it. */
  function caughtUp(): Promise<void> {
    next ??= turns.take(() => {
      next = undefined
      return look()
    })
    return next
  }

  const woken = () => void caughtUp().catch(() => {})
  const heard = (message: string) => {
    for (const hear of messageListeners) hear(message)
  }
  const ears = createEars({ ...options, woken, heard })
  // Where it can’t be reached, the next look tries again.
  const wake = () =>
    void ears
      .open()
      .then(caughtUp, caughtUp)
      .catch(() => {})
  const poll = options.serving ? setInterval(wake, POLL) : undefined
  poll?.unref()

  return {
    ...{ ears, caughtUp },
    begin: log.begin,
    hear(listener: (revocation: LoggedRevocation) => void) {
      log.hear(listener)
      wake()
    },
    hearChanges: versions.hear,
    hearMessages: (listener: (message: string) => void) => void messageListeners.push(listener),
    /** What we committed ourselves: each is announced once, in the order of the log. */
    announce: (revocations: readonly LoggedRevocation[]) => turns.take(() => log.tellAll(revocations)),
    async stop() {
      stopped = true
      clearInterval(poll)
      await turns.over()
      await ears.close()
    },
  }
}

/** The log, each revocation told once and in order. */
function createReading(rows: Rows) {
  const listeners: ((revocation: LoggedRevocation) => void)[] = []
  let known = 0
  let knownTag = ''

  function tell(revocation: LoggedRevocation) {
    if (revocation.seq <= known) return
    known = revocation.seq
    knownTag = revocation.tag
    for (const hear of listeners) hear(revocation)
  }
  /** Reads what lies between what was told and `until`. */
  async function readUpTo(until: number) {
    if (listeners.length === 0) return
    while (known < until) {
      const some = await readLog(rows, known, 0, Math.min(PAGE, until - known))
      if (some.length === 0) break
      for (const one of some) tell(one)
    }
  }
  return {
    readUpTo,
    hear: (listener: (revocation: LoggedRevocation) => void) => void listeners.push(listener),
    /** Everything up to here was told before we began. */
    begin({ seq, tag }: LogPosition) {
      if (listeners.length > 0) return
      known = seq
      knownTag = tag
    },
    isBefore: ({ seq }: LogPosition) => listeners.length > 0 && known < seq,
    /** Whether the newest place of the log is that of the one that was told. */
    isAt: ({ seq, tag }: LogPosition) => listeners.length === 0 || (seq === known && tag === knownTag),
    async tellAll(revocations: readonly LoggedRevocation[]) {
      const first = revocations[0]
      if (!first) return
      // What is not in the log any more was over before anybody asked for it.
      await readUpTo(first.seq - 1)
      for (const one of revocations) tell(one)
    },
  }
}

/** How often something has changed, and whether that is news. */
function createVersions() {
  const listeners: ((what: Changed) => void)[] = []
  const versions = new Map<Changed, number>()
  const tell = (what: Changed) => {
    for (const hear of listeners) hear(what)
  }
  return {
    tell,
    hear: (listener: (what: Changed) => void) => void listeners.push(listener),
    compare(what: Changed, version: number) {
      const before = versions.get(what)
      versions.set(what, version)
      if (before !== undefined && before !== version) tell(what)
    },
  }
}
