import type { Anchor, AuditEvent } from '../domain/audit.ts'
import type { CutOff } from '../domain/cut-off.ts'
import type { SeenDevice } from '../domain/device.ts'
import type { LoggedRevocation, Revocation } from '../domain/revocation.ts'
import type { Session } from '../domain/session.ts'
import type { DeliveryOutcomes, DeliveryTransaction } from './deliveries.ts'
import type { Account, AccountChange, RecordWrite, StoredKey, StoredRecord } from './store.ts'

/**
 * What a transaction reads and writes, as it is in the transaction: each write is seen by the reads after it. Every store
 * has these in its own dialect; what they mean is in `apply.ts`, once.
 */
export type Tables = {
  session(sid: string): Session | undefined
  /** The newest first. */
  liveSessionsOf(sub: string): Session[]
  /** False when there is one already. */
  insertSession(session: Session): boolean
  updateSession(session: Session): void
  /** Those whose time may be over at `at` (ms). */
  sessionsDue(at: number, limit: number): Session[]
  lookAgain(sid: string, at: number | null): void
  seeSession(sid: string, at: number): void
  listSessions(query: { clientId: string; limit: number }): { sessions: Session[] }
  cutOffsOf(clientId: string | undefined): CutOff[]
  cutOffsFor(clientId: string | undefined): CutOff[]
  addCutOff(cutOff: CutOff): void

  logRevocation(revocation: Revocation): LoggedRevocation
  appendAudit(event: AuditEvent): void
  /** Cuts off what the log has from before `before` (ms), some of it; whether there is more. */
  cutLog(before: number, limit: number): boolean
  /** Forgets sessions that ended before `before` (ms); whether there are more. */
  forgetSessions(before: number, limit: number): boolean
  cutAudit(before: number, upTo: number, limit: number, at: number): Anchor | undefined

  record(model: string, id: string): StoredRecord | undefined
  recordByUid(model: string, uid: string): StoredRecord | undefined
  putRecord(write: Extract<RecordWrite, { op: 'put' }>): void
  consumeRecord(model: string, id: string, at: number): void
  deleteRecord(model: string, id: string): void

  accountBySub(sub: string): Account | undefined
  /** False when the e-mail is taken. */
  insertAccount(account: Account): boolean
  /** What speaks against a change: nothing of it is written then. */
  conflictWith(change: AccountChange): string | undefined
  changeAccount(change: AccountChange): void
  /** Whether it was not known before. */
  seeDevice(device: SeenDevice): boolean
  /** False when there is no such device of this account. */
  renameDevice(sub: string, id: string, name: string): boolean

  putKey(key: StoredKey): void
  retireKey(kid: string, at: number): void
  dropKey(kid: string): void
  /** Adds `by` to a counter and gives what it was before. */
  advance(name: string, by: number): number
  keepList(list: number, until: number): void
  forgetLists(at: number): void

  /** The newest audit record of which notices were made. */
  noticesMadeOf(): number
  changeDeliveries(transaction: DeliveryTransaction): DeliveryOutcomes[DeliveryTransaction['kind']]
}
