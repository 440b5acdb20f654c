/*
 * The outbox: what has to be told to somebody outside, kept until it was told or given up. A delivery is queued with
 * the place in the audit log that it comes from, in one transaction, so that a crash neither loses nor doubles it.
 */

export type DeliveryKind = 'mail' | 'webhook' | 'backchannel_logout'
export type DeliveryState = 'waiting' | 'delivered' | 'dead'

/** A delivery as anybody who runs the authority may see it: no secret, no address of a person. */
export type Delivery = {
  /** The same over all attempts. */
  id: string
  kind: DeliveryKind
  /** Which event, or which mail. */
  topic: string
  /** An address to send to, without its query; or the hash of a mail address. */
  target: string
  /** The account that it is about. */
  sub?: string
  /** The audit record that caused it. */
  n: number
  /** In ms, as are all times here. */
  createdAt: number
  nextAt: number
  attempts: number
  state: DeliveryState
  /** Why the last attempt failed, in a few words. */
  lastError?: string
}

export type NewDelivery = Pick<Delivery, 'id' | 'kind' | 'topic' | 'target' | 'sub' | 'n'> & {
  /** What it queues with: one slow receiver holds up its own lane only. */
  lane: string
  /** Sealed: it may hold links and addresses. */
  payload: Uint8Array
  nextAt: number
}

export type DueDelivery = Delivery & { lane: string; payload: Uint8Array; giveUpAt: number }

/** A sealed record that is written with the deliveries that speak of it. `expiresAt` in seconds. */
export type NewRecord = { model: string; id: string; payload: Uint8Array; expiresAt?: number }

export type DeliveryTransaction =
  /** Moves the place in the audit log from `from` (absent: there was none) to `to`, with all that this causes. */
  | {
      kind: 'queue-deliveries'
      from?: number
      to: number
      deliveries: NewDelivery[]
      records: NewRecord[]
      at: number
    }
  | { kind: 'settle-delivery'; id: string; state: DeliveryState; nextAt: number; error?: string; at: number }
  /** Tries again what was given up: one, or all. */
  | { kind: 'replay-deliveries'; id?: string; at: number }

export type DeliveryOutcomes = {
  /** A conflict: somebody else has moved the place. */
  'queue-deliveries': { kind: 'queued'; refused: number } | { kind: 'conflict' }
  'settle-delivery': { kind: 'settled' }
  'replay-deliveries': { kind: 'replayed'; count: number }
}

export type DeliveryQuery =
  | { kind: 'notify-cursor' }
  /** The newest, the oldest of them first. */
  | { kind: 'deliveries'; state?: DeliveryState; limit: number }
  /** What may be sent now, the oldest first, of each lane at most `perLane` and nothing of those that are busy. */
  | { kind: 'due-deliveries'; at: number; perLane: number; busy: string[]; limit: number }
  /** The mails that were queued after `since` to an address or about an account. */
  | { kind: 'mail-history'; target: string; sub: string; since: number }

export type DeliveryAnswers = {
  'notify-cursor': number | undefined
  deliveries: Delivery[]
  'due-deliveries': DueDelivery[]
  'mail-history': Delivery[]
}

const DAY = 24 * 60 * 60 * 1000

/** A delivery is given up so long after it was queued. */
export const GIVE_UP_AFTER = DAY
export const FORGET_DELIVERED_AFTER = 7 * DAY
export const FORGET_DEAD_AFTER = 30 * DAY
/** So many may wait; what comes on top of them is dead at once, and can be replayed. */
export const MAX_WAITING = 200_000
export const MAX_WAITING_FOR_ONE = 10_000
/** So many dead ones are kept; then the oldest go. */
export const MAX_DEAD = 200_000
