import type { Anchor, AuditRecord } from './domain/audit.ts'
import { type Broken, type ChainFacts, checkChain } from './domain/audit-chain.ts'
import type { AuditFilter } from './store/audit.ts'
import type { Store } from './store/store.ts'

/* The audit log as people read it: any length of it, a page at a time. */

const PAGE = 1_000

/** An audit record as people get it: its time as ISO 8601. */
export type ShownRecord = Omit<AuditRecord, 'at'> & { at: string }

export function shown(record: AuditRecord): ShownRecord {
  return { ...record, at: new Date(record.at).toISOString() }
}

/** All records that a filter lets through, the oldest first. */
export async function* auditRecords(store: Store, filter: AuditFilter): AsyncGenerator<AuditRecord[]> {
  for (let after: number | undefined = -Infinity; after !== undefined; ) {
    const { records, next }: { records: AuditRecord[]; next?: number } = await store.read({
      ...{ kind: 'audit-page', filter, after, limit: PAGE },
    })
    if (records.length > 0) yield records
    after = next
  }
}

/**
 * The newest records that a filter lets through, the newest first.
 * @param options.before only those before this one
 * @param options.patience how long to look, in ms: then there may be fewer, and `next` says where to go on
 */
export async function newestRecords(
  store: Store,
  filter: AuditFilter,
  options: { limit: number; before?: number; patience?: number },
): Promise<{ records: AuditRecord[]; next?: number }> {
  const { limit, patience = Infinity } = options
  const records: AuditRecord[] = []
  const start = performance.now()
  for (let { before } = options; ; ) {
    const page = await store.read({
      ...{ kind: 'audit-page', filter, before, limit: Math.min(PAGE, limit - records.length) },
    })
    records.push(...page.records)
    const enough = records.length === limit || performance.now() - start > patience
    if (page.next === undefined || enough) return { records, ...(page.next ? { next: page.next } : {}) }
    before = page.next
  }
}

export type Verified = Broken | { records: number; first: number; last: Anchor }

/**
 * Checks a chain, however long it is.
 * @param facts what it has to agree with
 * @param facts.onPage hears how many records were checked
 */
export async function verifyRecords(
  pages: AsyncIterable<AuditRecord[]>,
  { onPage, ...facts }: ChainFacts & { onPage?: (records: number) => void },
): Promise<Verified> {
  const chain = checkChain(facts)
  let records = 0
  for await (const page of pages) {
    for (const record of page) {
      const broken = chain.take(record)
      if (broken) return broken
      records++
    }
    onPage?.(records)
  }
  const end = chain.end()
  return 'problem' in end ? end : { records, ...end }
}
