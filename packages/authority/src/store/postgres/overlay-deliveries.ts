import {
  type DeliveryOutcomes,
  type DeliveryTransaction,
  FORGET_DEAD_AFTER,
  FORGET_DELIVERED_AFTER,
  GIVE_UP_AFTER,
  MAX_DEAD,
  MAX_WAITING,
  MAX_WAITING_FOR_ONE,
  type NewDelivery,
} from '../deliveries.ts'
import type { Reading } from './writes.ts'

export const CURSOR = 'notify-cursor'
const FORGET_AT_ONCE = 1_000

const INSERT = `INSERT INTO deliveries
  (id, kind, topic, target, lane, sub, payload, n, created_at, next_at, give_up_at, state, forget_at, last_error)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`
const SETTLE = `UPDATE deliveries SET attempts = attempts + 1, state = $1, next_at = $2, forget_at = $3, last_error = $4
  WHERE id = $5 AND state = 'waiting'`
const REPLAY = `UPDATE deliveries SET state = 'waiting', attempts = 0, next_at = $1, give_up_at = $2, forget_at = NULL
  WHERE state = 'dead' AND ($3::text IS NULL OR id = $3)`
const FORGET = `DELETE FROM deliveries WHERE id IN
  (SELECT id FROM deliveries WHERE state = $1 AND forget_at < $2 ORDER BY forget_at LIMIT $3)`
const TRIM = `DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries
  WHERE state = 'dead' AND forget_at IS NOT NULL ORDER BY forget_at DESC OFFSET $1)`

type Queue = Extract<DeliveryTransaction, { kind: 'queue-deliveries' }>

/** The outbox, and the place in the audit log up to which it was filled. */
export function deliveryTables({ need, writes }: Reading) {
  const { statements, counters, records } = writes
  const cursor = () => counters.get(CURSOR) ?? need<number | null>('counter', CURSOR) ?? undefined
  const queuedHere = new Map<string, number>()

  /** Whether one more may wait; each that may is counted. */
  function fits({ lane, kind }: NewDelivery): boolean {
    const [all = 0, own = 0] = [queuedHere.get('*'), queuedHere.get(lane)]
    if (need<number>('waiting-deliveries') + all >= MAX_WAITING) return false
    // All mail goes through one server, and has budgets of its own.
    if (kind !== 'mail' && need<number>('waiting-in-lane', lane) + own >= MAX_WAITING_FOR_ONE) return false
    queuedHere.set('*', all + 1).set(lane, own + 1)
    return true
  }
  function queue({ from, to, deliveries, records: codes, at }: Queue): DeliveryOutcomes['queue-deliveries'] {
    if (cursor() !== from) return { kind: 'conflict' }
    counters.set(CURSOR, to)
    for (const { model, id, payload, expiresAt = null } of codes)
      records.set(`${model} ${id}`, {
        ...{ model, id },
        row: { payload, expires_at: expiresAt, consumed_at: null, uid: null, sid: null },
      })
    let refused = 0
    for (const one of deliveries) {
      const { id, kind, topic, target, lane, sub = null, payload, n, nextAt } = one
      const full = fits(one) ? null : 'too many are waiting for this receiver'
      if (full) refused++
      const end = full ? (['dead', at + FORGET_DEAD_AFTER] as const) : (['waiting', null] as const)
      const times = [at, nextAt, at + GIVE_UP_AFTER]
      statements.push([
        INSERT,
        [id, kind, topic, target, lane, sub, Buffer.from(payload), n, ...times, ...end, full],
      ])
    }
    for (const state of ['delivered', 'dead']) statements.push([FORGET, [state, at, FORGET_AT_ONCE]])
    if (refused > 0) statements.push([TRIM, [MAX_DEAD]])
    return { kind: 'queued', refused }
  }

  return {
    noticesMadeOf: () => cursor() ?? 0,
    changeDeliveries(transaction: DeliveryTransaction): DeliveryOutcomes[DeliveryTransaction['kind']] {
      if (transaction.kind === 'queue-deliveries') return queue(transaction)
      const { at, id } = transaction
      if (transaction.kind === 'replay-deliveries') {
        const count = id === undefined ? need<number>('dead-deliveries') : need<number>('dead-delivery', id)
        statements.push([REPLAY, [at, at + GIVE_UP_AFTER, id ?? null]])
        return { kind: 'replayed', count }
      }
      const { state, nextAt, error = null } = transaction
      const keep = { waiting: null, delivered: at + FORGET_DELIVERED_AFTER, dead: at + FORGET_DEAD_AFTER }
      statements.push([SETTLE, [state, nextAt, keep[state], error, id]])
      if (state === 'dead') statements.push([TRIM, [MAX_DEAD]])
      return { kind: 'settled' }
    },
  }
}
