import type { AuditRecord, PruningPlace } from '../domain/audit.ts'
import type { CutOff } from '../domain/cut-off.ts'
import type { Device } from '../domain/device.ts'
import type { LoggedRevocation, LogPosition } from '../domain/revocation.ts'
import type { Session } from '../domain/session.ts'
import type { AuditFilter, AuditPage } from './audit.ts'
import type { DeliveryAnswers, DeliveryQuery } from './deliveries.ts'
import type { Account, StoredKey, StoredRecord } from './stored.ts'

/** Where the log is: its oldest `seq` (0: it is empty), its newest place, and how many audit records there are. */
export type Head = LogPosition & { first: number; records: number }
/** A status list, and when the last token in it has expired, in ms. */
export type LiveList = { list: number; until: number }

export type Query =
  | DeliveryQuery
  | { kind: 'record'; model: string; id: string }
  | { kind: 'record-by-uid'; model: string; uid: string }
  | { kind: 'records'; model: string }
  | { kind: 'session'; sid: string }
  /** The sessions that came from one sign-in of a browser, the newest first. */
  | { kind: 'browser-sessions'; browser: string; limit: number }
  /** An account's live sessions and those that ended after `endedSince` (ms), the newest first. */
  | { kind: 'account-sessions'; sub: string; endedSince: number; limit: number }
  /** Any sessions, page by page: those after a place, which is 0 at first. */
  | { kind: 'sessions'; after: number; limit: number }
  /** The sessions of an account, of a client, or any, the newest first: those before a place, where one is given. */
  | { kind: 'list-sessions'; sub?: string; clientId?: string; before?: number; limit: number }
  /**
   * What a cut-off ends: live sessions before it is ordered (its `seq` is Infinity), those that ended with it after. By
   * pages of `limit` sessions after a place, which is 0 at first.
   */
  | {
      kind: 'cut-off-sessions'
      cutOff: Pick<CutOff, 'seq' | 'before' | 'clientId'>
      after: number
      limit: number
    }
  | { kind: 'devices'; sub: string }
  | { kind: 'device'; id: string }
  /**
   * The status-list indexes of tokens that a cut-off killed and that have not expired at `at` (ms), by pages of `limit`
   * sessions after a place, which is 0 at first; with `clientId` of that client's sessions alone.
   */
  | { kind: 'cut-off-tokens'; clientId?: string; after: number; at: number; limit: number }
  | { kind: 'account'; email: string }
  | { kind: 'account-by-sub'; sub: string }
  /** Accounts in the order in which they were added, after a place (0 at first); with `review` those marked for it. */
  | { kind: 'accounts'; review?: true; after: number; limit: number }
  | { kind: 'keys' }
  /** The log after `seq`, oldest first, at most `limit`. */
  | { kind: 'revocations'; after: number; since?: number; limit: number }
  | { kind: 'head' }
  /** What the log's revocation of this `seq` is told from another by; nothing when it is not there. */
  | { kind: 'tag'; seq: number }
  /** The status lists that are not over at `at` (ms), in order. */
  | { kind: 'status-lists'; at: number }
  /** The records after a place that a filter lets through, the oldest first. */
  | { kind: 'audit'; filter: AuditFilter & { after?: number; limit: number } }
  | ({ kind: 'audit-page' } & AuditPage)
  /** What stood before the oldest record that is kept; nothing where none was cut off. */
  | { kind: 'audit-anchor' }

/** What a question is answered with, by its kind. */
type Answers = DeliveryAnswers & {
  record: StoredRecord | undefined
  'record-by-uid': StoredRecord | undefined
  records: StoredRecord[]
  session: Session | undefined
  'browser-sessions': Session[]
  'account-sessions': Session[]
  sessions: { sessions: Session[]; next: number }
  'list-sessions': { sessions: Session[]; next?: number }
  'cut-off-sessions': { sessions: number; subs: string[]; clientIds: string[]; next: number }
  devices: Device[]
  device: Device | undefined
  'cut-off-tokens': { indexes: number[]; next: number }
  account: Account | undefined
  'account-by-sub': Account | undefined
  accounts: { accounts: Account[]; next?: number }
  keys: StoredKey[]
  revocations: LoggedRevocation[]
  head: Head
  tag: string | undefined
  'status-lists': LiveList[]
  audit: AuditRecord[]
  'audit-page': { records: AuditRecord[]; next?: number }
  'audit-anchor': PruningPlace | undefined
}
export type AnswerOf<Q extends Query> = Answers[Q['kind']]
