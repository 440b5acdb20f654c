import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type AuditRecord, CHAIN_START, link } from './audit.ts'
import { type ChainFacts, checkChain } from './audit-chain.ts'

function chain(length: number): AuditRecord[] {
  const records: AuditRecord[] = []
  let previous = CHAIN_START
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

/** What a check says of a whole chain: where it is broken, or how far it goes. */
function verify(records: AuditRecord[], facts: ChainFacts = { start: CHAIN_START }) {
  const chain = checkChain(facts)
  for (const record of records) {
    const broken = chain.take(record)
    if (broken) return { brokenAt: broken.brokenAt }
  }
  const end = chain.end()
  return 'problem' in end ? { brokenAt: end.brokenAt } : { first: end.first, last: end.last.n }
}

describe('the audit chain', () => {
  it('is whole as it was written', () => {
    assert.deepEqual(verify(chain(5)), { first: 1, last: 5 })
    assert.deepEqual(verify([]), { first: 0, last: 0 })
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
      assert.deepEqual(verify(tampered), { brokenAt: 3 }, JSON.stringify(change))
    }
  })

  it('shows a record that is missing, swapped or made up', () => {
    const records = chain(5)
    assert.deepEqual(verify(records.filter((record) => record.n !== 2)), { brokenAt: 2 })
    const [first, second, third, ...rest] = records as [AuditRecord, AuditRecord, AuditRecord]
    const swapped = verify([first, { ...third, n: 2 }, { ...second, n: 3 }, ...rest])
    assert.deepEqual(swapped, { brokenAt: 2 })
    const forged = link({ n: 4, hash: '' }, { at: 1, event: 'revocation', actor: 'forger' })
    assert.deepEqual(verify([...records.slice(0, 4), forged]), { brokenAt: 5 })
  })

  it('shows an end that is missing, and an older state, by what was noted', () => {
    const records = chain(5)
    const at = (n: number) => ({ n, hash: `${records[n - 1]?.hash}` })
    const start = CHAIN_START
    assert.deepEqual(verify(records, { start, noted: at(5) }), { first: 1, last: 5 })
    assert.deepEqual(verify(records, { start, noted: at(2) }), { first: 1, last: 5 })
    assert.deepEqual(verify(records.slice(0, 4), { start, noted: at(5) }), { brokenAt: 5 })
    assert.deepEqual(verify(records, { start, noted: { n: 3, hash: 'x' } }), { brokenAt: 3 })
    assert.deepEqual(verify(chain(0), { start, noted: at(1) }), { brokenAt: 1 })
  })

  it('goes on from where it was pruned, if the pruning itself says so', () => {
    const records = chain(5)
    const third = { n: 3, hash: `${records[2]?.hash}` }
    const pruning = (detail: string) =>
      link(records[4] as AuditRecord, { at: 9, event: 'audit.pruned', actor: 'rescind', detail })
    const pruned = [...records.slice(3), pruning(`up to 3 ${third.hash}`)]
    assert.deepEqual(verify(pruned, { start: third, stored: true }), { first: 4, last: 6 })
    assert.deepEqual(verify(pruned, { start: third, stored: true, noted: third }), { first: 4, last: 6 })
    assert.deepEqual(verify(pruned, { start: third, noted: { n: 3, hash: 'x' } }), { brokenAt: 3 })
    assert.deepEqual(verify(pruned, { start: { n: 3, hash: 'x' }, stored: true }), { brokenAt: 4 })
    assert.deepEqual(verify(pruned.slice(1), { start: third, stored: true }), { brokenAt: 4 })
    assert.deepEqual(
      verify(records.slice(3), { start: third, stored: true }),
      { brokenAt: 3 },
      'nothing says so',
    )
    const fourth = { n: 4, hash: `${records[3]?.hash}` }
    assert.deepEqual(
      verify(pruned.slice(1), { start: fourth, stored: true }),
      { brokenAt: 4 },
      'more is gone than it says',
    )
    assert.deepEqual(verify(pruned), { brokenAt: 1 }, 'the place is gone')
  })

  it('from a record that is taken on trust shows what was changed after it', () => {
    const records = chain(5).slice(2)
    assert.deepEqual(verify(records, {}), { first: 3, last: 5 })
    const tampered = records.map((record) => (record.n === 4 ? { ...record, actor: 'x' } : record))
    assert.deepEqual(verify(tampered, {}), { brokenAt: 4 })
  })
})
