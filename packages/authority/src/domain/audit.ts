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

/** The hash before the first record. */
export const CHAIN_START = ''

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
export function link(previous: { n: number; hash: string }, event: AuditEvent): AuditRecord {
  const n = previous.n + 1
  return { ...event, n, hash: chainHash(previous.hash, n, event) }
}

export type ChainReport =
  | { whole: true; records: number }
  | { whole: false; brokenAt: number; problem: string }

/** Checks a chain from its start. A broken link is named by the number of the first record that doesn't fit. */
export function verifyChain(records: Iterable<AuditRecord>): ChainReport {
  let previous = { n: 0, hash: CHAIN_START }
  for (const record of records) {
    if (record.n !== previous.n + 1) {
      return { whole: false, brokenAt: previous.n + 1, problem: `record ${previous.n + 1} is missing` }
    }
    if (chainHash(previous.hash, record.n, record) !== record.hash) {
      return {
        whole: false,
        brokenAt: record.n,
        problem: `record ${record.n} or the one before it was changed`,
      }
    }
    previous = record
  }
  return { whole: true, records: previous.n }
}
