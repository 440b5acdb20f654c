import { hash } from 'node:crypto'

/** All that is on record. */
export const EVENTS = [
  'account.created',
  'account.password_set',
  'signin.succeeded',
  'signin.failed',
  'signin.suspicious',
  'account.email_changed',
  'account.compromised',
  'account.deactivated',
  'account.reactivated',
  'account.email_restored',
  'account.logged_out',
  'account.reset_requested',
  'account.reviewed',
  'session.opened',
  'device.added',
  'device.renamed',
  'revocation',
  'client.registered',
  'client.removed',
  'audit.pruned',
  'keys.rotated',
  'keys.dropped',
] as const

/** Something that happened and that somebody may have to answer for. Never holds a secret. */
export type AuditEvent = {
  /** When, in ms. */
  at: number
  event: (typeof EVENTS)[number]
  /** Who did it: an account (`account:…`), a client (`client:…`), the `cli`, or `rescind` itself. */
  actor: string
  sub?: string
  sid?: string
  clientId?: string
  /** From where: an IP address. */
  address?: string
  reason?: string
  /** The revocation it is the record of. */
  seq?: number
  /** What ended, or what else is worth knowing in a few words. */
  detail?: string
}

/** A link of the chain: `hash` covers the event and the hash before it, so nothing can be changed unseen. */
export type AuditRecord = AuditEvent & { n: number; hash: string }

/** A place in the chain: the number of a record and its hash. */
export type Anchor = { n: number; hash: string }

/** The place up to which a chain was cut off, and when, in ms. */
export type PruningPlace = Anchor & { at: number }

/** The place before the first record. */
export const CHAIN_START: Anchor = { n: 0, hash: '' }

const FIELDS = [
  'at',
  'event',
  'actor',
  'sub',
  'sid',
  'clientId',
  'address',
  'reason',
  'seq',
  'detail',
] as const

const NUMBERS: readonly string[] = ['at', 'seq']
const REQUIRED = ['at', 'event', 'actor'] as const
/** The last moment that a date can be, in ms. */
export const LAST_MOMENT = 8_640_000_000_000_000

/** A stored event, if its text is exactly what is written of such an event: every byte of it counts. */
export function readEvent(text: string): AuditEvent | undefined {
  let stored: unknown
  try {
    stored = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof stored !== 'object' || stored === null || JSON.stringify(stored) !== text) return undefined
  const sound = Object.entries(stored).every(([name, value]) => isField(name, value))
  return sound && REQUIRED.every((name) => name in stored) ? (stored as AuditEvent) : undefined
}

function isField(name: string, value: unknown): boolean {
  if (!(FIELDS as readonly string[]).includes(name)) return false
  if (!NUMBERS.includes(name)) return typeof value === 'string'
  return Number.isInteger(value) && Math.abs(value as number) <= LAST_MOMENT
}

/** The hash of record `n`: SHA-256 over the hash before it and the event's fields in a fixed order. */
export function chainHash(previous: string, n: number, event: AuditEvent): string {
  return hash(
    'sha256',
    JSON.stringify([previous, n, ...FIELDS.map((field) => event[field] ?? null)]),
    'base64url',
  )
}

/** Appends `event` after the record whose number and hash are given. */
export function link(previous: Anchor, event: AuditEvent): AuditRecord {
  const n = previous.n + 1
  return { ...event, n, hash: chainHash(previous.hash, n, event) }
}
