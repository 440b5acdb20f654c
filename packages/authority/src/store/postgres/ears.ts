import type { Client } from 'pg'
import { connect, hangUp } from './connection.ts'
import { CHANNEL } from './flush.ts'

const MESSAGES = 'rescind_messages'
/** How often the connection has to show that it lives, in ms. */
const PING = 1_000
/** Who leads has shown it within this time, in ms; the server takes the lock back from who has not for longer. */
const LEASE = 3_000
const TAKEN_BACK = 5_000
/** Held by the process that runs what only one may run. */
const LEADER = 7_236_412
/** So many messages wait for the connection; what is more is dropped: nothing was promised of them. */
const MAX_OUT = 1_000

export type Ears = {
  /** Opens it, unless it is open. */
  open(): Promise<void>
  /** Whether this process is the one that runs what only one may run. */
  leads(): boolean
  say(message: string): void
  close(): Promise<void>
}

/**
 * The connection that is always listening: to what was committed, to what other processes say; and it holds the lock of
 * who leads. A process that stands still, or can’t reach the database, loses that within five seconds.
 * @param options.woken hears that something was committed, somewhere
 * @param options.heard hears what another process says
 */
export function createEars(options: {
  url: string
  serving: boolean
  woken: () => void
  heard: (message: string) => void
}): Ears {
  const { url, serving, woken, heard } = options
  let client: Client | undefined
  let opening: Promise<void> | undefined
  let closed = false
  let leading = false
  let shownAt = -Infinity
  let out: string[] = []

  async function begin() {
    const own = { idle_session_timeout: TAKEN_BACK, synchronous_commit: 'off' }
    const made = await connect(url, lose, own)
    const { processID } = made as unknown as { processID: number }
    made.on('notification', ({ channel, payload, processId }) => {
      if (channel === CHANNEL) woken()
      else if (processId !== processID && payload) heard(payload)
    })
    await made.query(`LISTEN ${CHANNEL}; LISTEN ${MESSAGES}`)
    client = made
    await Promise.all([ping(), flush()])
  }
  function lose(gone: Client) {
    if (client !== gone) return
    client = undefined
    leading = false
    out = []
  }
  async function ping() {
    const on = client
    if (!on) return
    const at = performance.now()
    try {
      if (serving && !leading) {
        const { rows } = await on.query('SELECT pg_try_advisory_lock($1) AS mine', [LEADER])
        leading = client === on && rows[0].mine
      } else await on.query('SELECT')
      shownAt = at
    } catch {
      lose(on)
      hangUp(on)
    }
  }
  async function flush() {
    const on = client
    if (!on || out.length === 0) return
    const some = out
    out = []
    await on.query(`SELECT pg_notify('${MESSAGES}', m) FROM unnest($1::text[]) AS m`, [some])
  }
  const timer = setInterval(ping, PING)
  timer.unref()

  return {
    async open() {
      if (closed || client) return
      opening ??= begin().finally(() => {
        opening = undefined
      })
      await opening
    },
    leads: () => leading && performance.now() - shownAt < LEASE,
    say(message) {
      if (closed || out.length >= MAX_OUT) return
      out.push(message)
      queueMicrotask(() => void flush().catch(() => {}))
    },
    async close() {
      closed = true
      clearInterval(timer)
      await opening?.catch(() => {})
      await flush().catch(() => {})
      await client?.end().catch(() => {})
      leading = false
    },
  }
}
