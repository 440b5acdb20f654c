import type { Anchor, AuditEvent } from '../domain/audit.ts'
import type { SeenDevice } from '../domain/device.ts'
import type { Reason } from '../domain/reason.ts'
import type { LoggedRevocation, RevocationDecision, RevocationRequest } from '../domain/revocation.ts'
import type { RefreshDecision, RefreshRequest, Session } from '../domain/session.ts'
import type { DeliveryOutcomes, DeliveryTransaction } from './deliveries.ts'
import type { AnswerOf, Query } from './questions.ts'

import type { Account, StoredKey } from './stored.ts'

export type { AnswerOf, Head, LiveList, Query } from './questions.ts'
export type { Account, StoredKey, StoredRecord } from './stored.ts'

/*
 * A decision crosses to the store as data, because the store may run in another thread. What it decides is in
 * the domain; the store loads the sessions that it is about, runs it, and commits all that it changes at once.
 */

/** A record that the protocol library keeps: a code, a grant, a browser session. Its payload is sealed. */
export type RecordWrite =
  | {
      op: 'put'
      model: string
      /** SHA-256 of the id that the holder presents. */
      id: string
      payload: Uint8Array
      /** When it may be forgotten, in seconds; absent: never. */
      expiresAt?: number
      uid?: string
      sid?: string
      /** Refuse the whole transaction if there is one already (replay detection). */
      once?: true
    }
  /** Marks a record as used; refuses the whole transaction if it was. */
  | { op: 'consume'; model: string; id: string; at: number }
  | { op: 'delete'; model: string; id: string }
  /** Refuses the whole transaction when there is no such record: what it rests on has gone meanwhile. */
  | { op: 'need'; model: string; id: string; uid?: string }
  /** Refuses the whole transaction when this uid has a record under another id: it is kept for somebody else. */
  | { op: 'free'; model: string; id: string; uid: string }

/** What changes of an account; what is absent stays. */
export type AccountChange = {
  sub: string
  /** Refuse the whole transaction unless these are what the account has now. */
  expect?: Partial<Account>
  /** … unless this session of it lives. */
  expectSession?: string
  email?: string
  password?: string
  validAfter?: number
  validBrowser?: string
  resetRequired?: boolean
  reviewSince?: number | null
  deactivatedAt?: number | null
}
/** Sessions that end with what else a request writes. */
export type Endings = {
  sids: string[]
  /** All that this client holds ends. */
  clientId?: string
  reason: Reason
  actor: string
  address?: string
}

/** All that one request changes. It commits whole or not at all. */
export type Transaction =
  | DeliveryTransaction
  | {
      kind: 'write'
      records: RecordWrite[]
      open?: Session
      /** When the person let it be opened, in ms: what was called off since then does not open. */
      grantedAt?: number
      /** The device that the session is opened on. */
      device?: SeenDevice
      end?: Endings
      audit: AuditEvent[]
      at: number
    }
  | { kind: 'refresh'; request: RefreshRequest; records: RecordWrite[]; address?: string; at: number }
  /** What goes with a revocation commits with it, or not at all: a password that changes, a link that is used up. */
  | {
      kind: 'revoke'
      request: RevocationRequest
      account?: AccountChange
      records?: RecordWrite[]
      audit?: AuditEvent[]
      address?: string
      at: number
    }
  /** What changes of an account without ending anything. */
  | {
      kind: 'change-account'
      account: AccountChange
      records?: RecordWrite[]
      audit: AuditEvent[]
      at: number
    }
  /**
   * Cuts off audit records of before `before` (ms), at most `limit` of them and none that notices were not made of yet;
   * where it cut and that it did commit with it.
   */
  | { kind: 'prune-audit'; before: number; limit: number; at: number }
  /**
   * Forgets what the log has from before `log`, and sessions that ended before `sessions` (ms), some of them: at most `limit` in
   * one transaction, or a whole table of them.
   */
  | { kind: 'forget-old'; log: number; sessions: number; limit: number }
  /** Ends sessions that are over by themselves at `at` (ms), at most `limit` of them. */
  | { kind: 'time-out'; at: number; limit: number }
  /** Which sessions the APIs of these resources have seen by `at` (ms); what is none of theirs is left alone. */
  | { kind: 'seen'; sids: string[]; resources: string[]; at: number }
  | { kind: 'rename-device'; sub: string; id: string; name: string; audit: AuditEvent }
  | { kind: 'add-account'; account: Account; audit: AuditEvent }
  /** Adds keys, says of others since when they sign no more, and forgets others altogether. */
  | {
      kind: 'put-keys'
      keys: StoredKey[]
      retire: { kid: string; at: number }[]
      drop?: string[]
      audit?: AuditEvent
    }
  /**
   * Reserves a block of `size` status-list indexes, all in one list of `listSize`; a block is never given twice.
   * `until` (ms): by then every token of the block has expired.
   */
  | { kind: 'reserve-indexes'; size: number; listSize: number; at: number; until: number }

export type WriteOutcome =
  | { kind: 'written'; revocations: LoggedRevocation[] }
  | { kind: 'conflict'; model: string; op: RecordWrite['op'] | 'open' }
export type RefreshOutcome =
  | Exclude<RefreshDecision, { kind: 'reused' | 'suspicious' }>
  /** Its session was ended for it, in the same transaction. */
  | { kind: 'reused' | 'suspicious'; revocations: LoggedRevocation[] }
  /** The DPoP proof was used before. */
  | { kind: 'replayed' }
export type RevokeOutcome =
  | Exclude<RevocationDecision, { kind: 'revoked' }>
  | { kind: 'revoked'; revocations: LoggedRevocation[]; signedOut: boolean }
  /** Something that it was to commit with had changed meanwhile, or the e-mail is taken; nothing was done. */
  | { kind: 'conflict'; model: string }
export type ChangeOutcome = { kind: 'written' } | { kind: 'conflict'; model: string }
export type TimeOutOutcome = { revocations: LoggedRevocation[]; more: boolean }

/** What a transaction answers, by its kind. */
type Outcomes = DeliveryOutcomes & {
  write: WriteOutcome
  refresh: RefreshOutcome
  revoke: RevokeOutcome
  'change-account': ChangeOutcome
  'time-out': TimeOutOutcome
  'prune-audit': { pruned: Anchor | undefined }
  'forget-old': { more: boolean }
  'reserve-indexes': { first: number }
}
type Written = { kind: 'written' } | { kind: 'exists' } | { kind: 'missing' }
export type OutcomeOf<T extends Transaction> = T extends { kind: keyof Outcomes }
  ? Outcomes[T['kind']]
  : Written

/** What an authority keeps. */
export type Store = {
  /**
   * Resolves once the transaction is synced to disk; concurrent ones share a commit.
   * @throws StoreUnavailable when it could not be made durable: then nothing of it was written
   */
  transact<T extends Transaction>(transaction: T): Promise<OutcomeOf<T>>
  /** @throws StoreUnavailable */
  read<Q extends Query>(query: Q): Promise<AnswerOf<Q>>
  /** Hears each revocation in `seq` order, after it is durable and before its transaction is answered. */
  onRevocation(listener: (revocation: LoggedRevocation) => void): void
  /**
   * Resolves once everything that any process had committed by then was told to the listeners here; nothing, where no other
   * process can.
   * @throws StoreUnavailable when that can’t be found out
   */
  caughtUp(): Promise<void> | undefined
  /** Whether this process is the one of all that runs what only one may run: timers, notices. */
  leads(): boolean
  /** Says something to all other processes, at most 7,900 bytes; it may get lost. */
  tellOthers(message: string): void
  onMessage(listener: (message: string) => void): void
  /**
   * Hears that another process changed keys (or accounts, from the command line), or registered clients; or that the log was set
   * back, so that what is held in memory is no view of it any more.
   */
  onOutsideChange(listener: (what: 'keys' | 'clients' | 'set-back') => void): void
  close(): Promise<void>
}

/** The store could not take a write or answer a read; nothing was changed. */
export class StoreUnavailable extends Error {
  readonly code = 'UNAVAILABLE'
  constructor(cause: string) {
    super(`The store is not available: ${cause}`)
    this.name = 'StoreUnavailable'
  }
}
