import { AsyncLocalStorage } from 'node:async_hooks'
import type { AuditEvent } from '../domain/audit.ts'
import type { SeenDevice } from '../domain/device.ts'
import type { Session } from '../domain/session.ts'
import { type AnswerOf, type Query, type RecordWrite, type Store, StoreUnavailable } from '../store/store.ts'

/**
 * What one request is going to change. The protocol library writes piece by piece; everything is held here and
 * committed in one transaction before the answer is sent.
 */
export type Unit = {
  records: RecordWrite[]
  /** What this request would read back of its own writes. */
  overlay: Map<string, Record<string, unknown> | null>
  open?: Session
  /** The record of the client, if it has registered itself. */
  client?: string
  /** The device that it is opened on. */
  device?: SeenDevice
  /** Sessions that the protocol library wants ended: a code used twice, a logout at the authority itself. */
  ends: Set<string>
  audit: AuditEvent[]
  /** A read failed for want of the store: the answer must not claim anything else. */
  storeFailed?: boolean
}

const units = new AsyncLocalStorage<Unit>()

/** Runs `work` as one unit; whoever calls it commits the unit afterwards. */
export async function inUnit<T>(work: (unit: Unit) => Promise<T>): Promise<T> {
  const unit: Unit = { records: [], overlay: new Map(), ends: new Set(), audit: [] }
  return units.run(unit, () => work(unit))
}

/** Reads from the store for the request's unit, which remembers that the store failed it. */
export async function readInUnit<Q extends Query>(store: Store, query: Q): Promise<AnswerOf<Q>> {
  try {
    return await store.read(query)
  } catch (error) {
    const unit = units.getStore()
    if (unit && error instanceof StoreUnavailable) unit.storeFailed = true
    throw error
  }
}

/** The unit of the request that is being served. */
export function currentUnit(): Unit {
  const unit = units.getStore()
  if (!unit) throw new Error('protocol records can only be written while a request is served')
  return unit
}
