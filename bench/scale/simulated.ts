import type { IncomingMessage } from 'node:http'
import type { Feed } from '../../packages/authority/src/feed/feed.ts'
import { writeAck } from '../../packages/guard/src/protocol.ts'
import { clientOf } from './log.ts'
import { clientFrame, createFactsReader, createWire, type FarGuard, textStart } from './wire.ts'

/*
 * Guards without a network, a thread or a view: they take what is written, acknowledge it and ping at each heartbeat, as
 * real ones do; some read late, and some lose their connection and come back. Those that are looked at keep what they took.
 */

/** A real guard acknowledges when nothing came for 1 ms, and after 20 ms in any case. */
const ACKNOWLEDGE = 5
/** How long a lost connection takes to come back, in ms. */
const BACK_AFTER = 200
const PING = clientFrame(9, '')
const TEXT = 1

/** What the guards were sent so far. */
export type Taken = {
  writes: number
  bytes: number
  /** Revocations, each for each guard. */
  deliveries: number
  acknowledgements: number
  /** Connections that were lost, by whatever side. */
  lost: number
}

export type Simulated = {
  guards: FarGuard[]
  taken: Taken
  connect(): Promise<void>
  /** Lets this one read nothing for so long, in ms. */
  stop(guard: FarGuard, ms: number): void
  close(): void
}

export function simulateGuards(
  feed: Feed,
  options: { apis: number; guards: number; looked: Set<number> },
): Simulated {
  const taken: Taken = { writes: 0, bytes: 0, deliveries: 0, acknowledgements: 0, lost: 0 }
  const factsOf = createFactsReader()
  let owing: FarGuard[] = []
  let closed = false
  let acknowledgement = { seq: 0, frame: PING }

  function hear(guard: FarGuard, frame: Buffer) {
    const facts = factsOf(frame)
    taken.writes++
    taken.bytes += frame.length
    if (!facts) return
    taken.deliveries += facts.revocations
    if (facts.seq > guard.seq) guard.seq = facts.seq
    guard.frame = frame
    guard.kept?.push({ frame, at: performance.now() })
    if (facts.heartbeat) guard.wire?.push(Buffer.from(PING))
    if (guard.owes) return
    guard.owes = true
    owing.push(guard)
  }
  function acknowledgeAll() {
    const all = owing
    owing = []
    for (const guard of all) {
      guard.owes = false
      if (acknowledgement.seq !== guard.seq)
        acknowledgement = { seq: guard.seq, frame: clientFrame(TEXT, writeAck(guard.seq)) }
      // A copy: whoever reads it unmasks it in place.
      if (guard.wire?.destroyed === false) guard.wire.push(Buffer.from(acknowledgement.frame))
      taken.acknowledgements++
    }
    if (!closed) setTimeout(acknowledgeAll, ACKNOWLEDGE)
  }
  function connect(guard: FarGuard) {
    const wire = createWire(guard, hear)
    guard.wire = wire
    guard.stopped = false
    guard.untaken = undefined
    wire.once('close', () => {
      taken.lost++
      if (!closed) setTimeout(connect, BACK_AFTER, guard)
    })
    const connected = feed.connect(HANDSHAKE, wire, NOTHING, clientOf(guard.api), placeOf(guard.frame))
    if (!connected) throw new Error('the feed takes no more guards')
  }
  const guards = Array.from(
    { length: options.guards },
    (_, n): FarGuard => ({
      ...{ api: n % options.apis, seq: 0, frame: undefined, owes: false, stopped: false, untaken: undefined },
      ...{ kept: options.looked.has(n) ? [] : undefined, wire: undefined },
    }),
  )
  return {
    guards,
    taken,
    async connect() {
      for (const guard of guards) connect(guard)
      acknowledgeAll()
      // `ready` is the first frame that is not the handshake.
      while (guards.some(({ frame }) => !frame)) await new Promise((resolve) => setTimeout(resolve, 5))
    },
    stop(guard, ms) {
      const { wire } = guard
      guard.stopped = true
      setTimeout(() => {
        if (guard.wire !== wire) return
        guard.stopped = false
        const { untaken } = guard
        guard.untaken = undefined
        if (wire?.destroyed === false) untaken?.()
      }, ms)
    },
    close() {
      closed = true
      for (const { wire } of guards) wire?.destroy()
    },
  }
}

const NOTHING = Buffer.alloc(0)
const HANDSHAKE = {
  method: 'GET',
  url: '/feed',
  headers: {
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
    'user-agent': 'simulated',
  },
  socket: { remoteAddress: '192.0.2.1' },
} as unknown as IncomingMessage

/** Up to where a guard has everything, by the last that it took. */
function placeOf(frame: Buffer | undefined): { seq: number; tag: string } {
  if (!frame) return { seq: 0, tag: '' }
  const lines = frame.toString('utf8', textStart(frame)).split('\n')
  const { seq, tag } = JSON.parse(`${lines.at(-1)}`)
  return { seq, tag }
}
