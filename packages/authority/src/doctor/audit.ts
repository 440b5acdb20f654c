import { newestRecords, verifyRecords } from '../audit-reading.ts'
import type { Store } from '../store/store.ts'
import { type Finding, fail, ok } from './finding.ts'

const NEWEST = 1_000

/** Whether the newest records of the audit log are what was written; the one before them is where they go on from. */
export async function checkAudit(store: Store): Promise<Finding> {
  const { records } = await newestRecords(store, {}, { limit: NEWEST + 1 })
  records.reverse()
  const start = records.length > NEWEST ? records.shift() : undefined
  const facts = start ? { start: { n: start.n, hash: start.hash } } : {}
  const report = await verifyRecords(
    (async function* () {
      yield records
    })(),
    facts,
  )
  if ('problem' in report) {
    const says = `The audit chain is broken at ${report.brokenAt}: ${report.problem}. See: rescind audit verify`
    return fail('audit', says)
  }
  return ok('audit', `The newest ${report.records} records of the audit log are what was written.`)
}
