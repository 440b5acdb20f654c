import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type AuditRecord, CHAIN_START, link, verifyChain } from './audit.ts'

function chain(length: number): AuditRecord[] {
  const records: AuditRecord[] = []
  let previous = { n: 0, hash: CHAIN_START }
  for (let i = 0; i < length; i++) {
    const record = link(previous, {
      at: 1000 + i,
      event: 'revocation',
      actor: 'test',
      sid: `s${i}`,
      seq: i + 1,
    })
    records.push(record)
    previous = record
  }
  return records
}

describe('the audit chain', () => {
  it('is whole as it was written', () => {
    assert.deepEqual(verifyChain(chain(5)), { whole: true, records: 5 })
    assert.deepEqual(verifyChain([]), { whole: true, records: 0 })
  })

  it('shows where a field was changed, added or taken away', () => {
    const changes: Partial<AuditRecord>[] = [
      { reason: 'user_logout' },
      { at: 1 },
      { sid: undefined },
      { actor: 'x' },
    ]
    for (const change of changes) {
      const tampered = chain(5).map((record) => (record.n === 3 ? { ...record, ...change } : record))
      const report = verifyChain(tampered)
      assert.ok(!report.whole && report.brokenAt === 3, JSON.stringify(change))
    }
  })

  it('shows a record that is missing, swapped or made up', () => {
    const records = chain(5)
    const gone = verifyChain(records.filter((record) => record.n !== 2))
    assert.ok(!gone.whole && gone.brokenAt === 2)
    const [first, second, third, ...rest] = records as [AuditRecord, AuditRecord, AuditRecord]
    const swapped = verifyChain([first, { ...third, n: 2 }, { ...second, n: 3 }, ...rest])
    assert.ok(!swapped.whole && swapped.brokenAt === 2)
    const forged = link({ n: 4, hash: CHAIN_START }, { at: 1, event: 'revocation', actor: 'forger' })
    assert.ok(!verifyChain([...records.slice(0, 4), forged]).whole)
  })
})
