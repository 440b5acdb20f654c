import type { Authority } from '../authority.ts'
import type { AuditRecord } from '../domain/audit.ts'
import { noticesOf } from '../domain/notices.ts'
import { type ClientFacts, clientFacts } from './clients.ts'
import { type Plan, planDeliveries } from './plan.ts'

const PAGE = 500
/** Where nothing had to be told the stored place may be so far behind, in records and in ms. */
const LAZY = 10_000
const LAZY_TIME = 60_000
const NOTHING: Plan = { deliveries: [], records: [] }

export type Follower = {
  /** Queues what the audit log has had since the last time; whether anything was queued. */
  follow(): Promise<boolean>
  /** Stores the place. */
  rest(): Promise<void>
}

/**
 * Reads the audit log from where it was left, and queues what each record causes, in the one transaction that moves the
 * place. On the very first start it begins at the log's end: nobody hears of the past.
 * @param when.asleep whether nobody wants to be told anything, so that nothing has to be read
 * @throws StoreUnavailable
 */
export async function createFollower(
  authority: Authority,
  when: { asleep(): boolean; stopped(): boolean },
): Promise<Follower> {
  const { store, log } = authority
  let stored = await store.read({ kind: 'notify-cursor' })
  let place = stored ?? (await head())
  let storedAt = authority.now()
  // Of several processes that start at once one is the first.
  if (stored === undefined)
    await move(place, NOTHING).catch(async (error: Error) => {
      stored = await store.read({ kind: 'notify-cursor' })
      if (stored === undefined) throw error
      place = stored
    })

  async function head() {
    return (await store.read({ kind: 'head' })).records
  }
  async function move(to: number, { deliveries, records }: Plan) {
    const at = authority.now()
    const outcome = await store.transact({
      kind: 'queue-deliveries',
      from: stored,
      to,
      deliveries,
      records,
      at,
    })
    if (outcome.kind === 'conflict') throw new Error('another process follows the audit log')
    if (outcome.refused > 0) log.warn({ refused: outcome.refused }, 'too many notices wait for a receiver')
    stored = place = to
    storedAt = at
  }
  async function keepUp() {
    const late = place - (stored ?? 0) > LAZY || authority.now() - storedAt > LAZY_TIME
    if (late && place !== stored) await move(place, NOTHING)
  }

  return {
    async follow() {
      if (when.asleep()) {
        place = await head()
        await keepUp()
        return false
      }
      let queued = false
      for (;;) {
        if (when.stopped()) return queued
        const records = await store.read({ kind: 'audit', filter: { after: place, limit: PAGE } })
        const last = records.at(-1)
        if (!last) return queued
        const plan = await planFor(authority, records)
        if (plan.deliveries.length > 0) await move(last.n, plan)
        place = last.n
        await keepUp()
        queued ||= plan.deliveries.length > 0
      }
    },
    async rest() {
      if (place !== stored) await move(place, NOTHING)
    },
  }
}

/** What the records cause. */
async function planFor(authority: Authority, records: AuditRecord[]): Promise<Plan> {
  const clients = new Map<string, ClientFacts | undefined>()
  for (const clientId of new Set(records.map((record) => record.clientId ?? ''))) {
    clients.set(clientId, await clientFacts(authority, clientId))
  }
  const caused = records.flatMap((record) => {
    const client = clients.get(record.clientId ?? '')
    return noticesOf(record, { client }).map((notice) => ({ notice, record, client }))
  })
  return planDeliveries(authority, caused)
}
