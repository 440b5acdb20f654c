import type { Client } from 'pg'
import { connect, hangUp } from './connection.ts'
import { CHANNEL } from './flush.ts'
import { createTurns } from './turns.ts'

const MESSAGES = 'rescind_messages'
/** How often the connection has to show that it lives, in ms. */
const PING = 1_000
/** Who leads has shown it within this time, in ms; the server takes the lock back from who has not for longer. */
const LEASE = 3_000
const TAKEN_BACK = 5_000
/** Held by the process that runs what only one may run. */
export const LEADER = 7_236_412
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
  const lease = createLease(serving)
  const turns = createTurns()
  let out: string[] = []

  async function begin() {
    client = await listen(url, lose, woken, heard)
    await turns.take(ping)
    await turns.take(flush)
  }
  function lose(gone: Client) {
    if (client !== gone) return
    client = undefined
    lease.lose()
    out = []
  }
  async function ping() {
    const on = client
    if (!on) return
    try {
      await lease.show(on)
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
  const timer = setInterval(() => void turns.take(ping), PING)
  timer.unref()

  return {
    async open() {
      if (closed || client) return
      opening ??= begin().finally(() => {
        opening = undefined
      })
      await opening
    },
    leads: lease.held,
    say(message) {
      if (closed || out.length >= MAX_OUT) return
      out.push(message)
      if (out.length === 1) turns.take(flush).catch(() => {})
    },
    async close() {
      closed = true
      clearInterval(timer)
      await opening?.catch(() => {})
      await turns.take(flush).catch(() => {})
      await client?.end().catch(() => {})
      lease.lose()
    },
  }
}

/** The lock of who leads, and for how long we may believe that it is ours. */
function createLease(serving: boolean) {
  let holder: Client | undefined
  let shownAt = -Infinity
  return {
    /** Shows that the connection lives, and takes the lock on it if it is free. @throws when it does not */
    async show(on: Client) {
      const at = performance.now()
      if (serving && holder !== on) {
        const { rows } = await on.query('SELECT pg_try_advisory_lock($1) AS mine', [LEADER])
        if (rows[0].mine) holder = on
      } else await on.query('SELECT')
      shownAt = at
    },
    held: () => holder !== undefined && performance.now() - shownAt < LEASE,
    lose() {
      holder = undefined
    },
  }
}

async function listen(
  url: string,
  lost: (client: Client) => void,
  woken: () => void,
  heard: (message: string) => void,
): Promise<Client> {
  const own = { idle_session_timeout: TAKEN_BACK, synchronous_commit: 'off' }
  const client = await connect(url, lost, own)
  const { processID } = client as unknown as { processID: number }
  client.on('notification', ({ channel, payload, processId }) => {
    if (channel === CHANNEL) woken()
    else if (processId !== processID && payload) heard(payload)
  })
  await client.query(`LISTEN ${CHANNEL}; LISTEN ${MESSAGES}`)
  return client
}
