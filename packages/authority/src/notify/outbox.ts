import { setTimeout as delay } from 'node:timers/promises'
import type { Authority } from '../authority.ts'
import type { DeliveryKind, DueDelivery } from '../store/deliveries.ts'
import { backoff } from './backoff.ts'
import type { Attempt } from './send.ts'

/** Sends one delivery, once. What it throws counts as a failure. */
export type Sender = (authority: Authority, delivery: DueDelivery, signal: AbortSignal) => Promise<Attempt>

const IN_FLIGHT = 64
const IN_FLIGHT_FOR_ONE = 4
/** One attempt may take so long, in ms. */
const TIME_LIMIT = 10_000
/** How long to wait before the store is asked again to take a result, in ms. */
const SETTLE_AGAIN = 5_000

export type Result = 'delivered' | 'failed' | 'dead'

export type Outbox = {
  /** Begins to send whatever is due. */
  pump(): Promise<void>
  /** Breaks off what is under way; it is sent again after the next start. */
  stop(): Promise<void>
}

/**
 * Sends what is due: so much at a time in all and for each receiver, so that a slow one holds up only itself.
 * @param onSettled hears how each attempt went
 */
export function createOutbox(
  authority: Authority,
  senders: Record<DeliveryKind, Sender>,
  onSettled: (delivery: DueDelivery, result: Result) => void,
): Outbox {
  const { store, now, log } = authority
  const underWay = new Map<string, { lane: string; done: Promise<void> }>()
  const stopping = new AbortController()
  let pumping = false
  let again = false

  async function fill() {
    const lanes = new Map<string, number>()
    for (const { lane } of underWay.values()) lanes.set(lane, (lanes.get(lane) ?? 0) + 1)
    const busy = [...lanes].filter(([, count]) => count >= IN_FLIGHT_FOR_ONE).map(([lane]) => lane)
    const perLane = IN_FLIGHT_FOR_ONE
    // What is settled while the store is read may still look due.
    const before = new Set(underWay.keys())
    const due = await store.read({ kind: 'due-deliveries', at: now(), perLane, busy, limit: 4 * IN_FLIGHT })
    for (const delivery of due) {
      const { id, lane } = delivery
      const own = lanes.get(lane) ?? 0
      if (stopping.signal.aborted || underWay.size >= IN_FLIGHT) return
      if (underWay.has(id) || before.has(id) || own >= IN_FLIGHT_FOR_ONE) continue
      lanes.set(lane, own + 1)
      const sender = senders[delivery.kind]
      const done = attempt(authority, sender, delivery, stopping.signal).then((result) => {
        underWay.delete(id)
        if (result) onSettled(delivery, result)
        void pump()
      })
      underWay.set(id, { lane, done })
    }
  }

  async function pump() {
    again = true
    if (pumping) return
    pumping = true
    try {
      while (again && !stopping.signal.aborted) {
        again = false
        if (store.leads()) await fill()
      }
    } catch (error) {
      // The store is away; the timer comes back.
      log.warn({ error: (error as Error).message }, 'the outbox could not be read')
    } finally {
      pumping = false
    }
  }

  return {
    pump,
    async stop() {
      stopping.abort()
      await Promise.all([...underWay.values()].map(({ done }) => done))
    },
  }
}

/** Sends once, and stores how that went; nothing when it was broken off. */
async function attempt(
  authority: Authority,
  send: Sender,
  delivery: DueDelivery,
  stopping: AbortSignal,
): Promise<Result | undefined> {
  const signal = AbortSignal.any([stopping, AbortSignal.timeout(TIME_LIMIT)])
  let result: Attempt
  try {
    result = await send(authority, delivery, signal)
  } catch (error) {
    if (stopping.aborted) return undefined
    result = { kind: 'failed', why: wordsOf(error, signal) }
  }
  // As long as the store can't take the result it is not sent again: the receiver is not to pay for our disk.
  while (!stopping.aborted) {
    try {
      return await settle(authority, delivery, result)
    } catch (error) {
      const why = { delivery: delivery.id, error: (error as Error).message }
      authority.log.warn(why, 'a delivery could not be settled')
      await delay(SETTLE_AGAIN, undefined, { signal: stopping }).catch(() => {})
    }
  }
  return undefined
}

/** Stores how an attempt went, and when the next one is. */
async function settle(
  { store, now, log }: Authority,
  delivery: DueDelivery,
  result: Attempt,
): Promise<Result> {
  const { id, kind, topic, target, attempts, giveUpAt } = delivery
  const at = now()
  const error = result.kind === 'delivered' ? undefined : result.why.slice(0, 200)
  const nextAt = result.kind === 'failed' ? backoff(attempts, at, giveUpAt, result.after) : undefined
  const state = result.kind === 'delivered' ? 'delivered' : nextAt === undefined ? 'dead' : 'waiting'
  await store.transact({ kind: 'settle-delivery', id, state, nextAt: nextAt ?? at, error, at })
  if (state === 'dead') log.warn({ delivery: id, kind, topic, target, error }, 'a notice was given up')
  return state === 'waiting' ? 'failed' : state
}

/** A short reason. A library's message may hold what was sent, so only its code is kept. */
function wordsOf(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return `no answer within ${TIME_LIMIT / 1000} s`
  const { code, name } = error as { code?: unknown; name?: string }
  return typeof code === 'string' ? code : (name ?? 'it failed')
}
