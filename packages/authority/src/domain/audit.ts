import { hash } from 'node:crypto'

/** Something that happened and that somebody may have to answer for. Never holds a secret. */
export type AuditEvent = {
  /** When, in ms. */
  at: number
  event:
    | 'account.created'
    | 'account.password_set'
    | 'signin.succeeded'
    | 'signin.failed'
    | 'signin.suspicious'
    | 'account.email_changed'
    | 'account.compromised'
    | 'account.deactivated'
    | 'account.reactivated'
    | 'account.email_restored'
    | 'account.logged_out'
    | 'account.reset_requested'
    | 'account.reviewed'
    | 'session.opened'
    | 'device.added'
    | 'device.renamed'
    | 'revocation'
    | 'client.registered'
    | 'client.removed'
    | 'audit.pruned'
    | 'keys.rotated'
    | 'keys.dropped'
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

/** A stored event, if it holds what an event holds and nothing else. */
export function readEvent(stored: Record<string, unknown>): AuditEvent | undefined {
  const known: readonly string[] = FIELDS
  return Object.keys(stored).every((name) => known.includes(name)) ? (stored as AuditEvent) : undefined
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
