import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type AuditRecord, CHAIN_START, link, readEvent } from './audit.ts'
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
    const kept = [...records.slice(3), pruning(`up to 3 ${third.hash}`)]
    const pruned = { ...third, at: 9 }
    assert.deepEqual(verify(kept, { pruned }), { first: 4, last: 6 })
    assert.deepEqual(verify(kept, { pruned, noted: third }), { first: 4, last: 6 })
    assert.deepEqual(verify(kept, { pruned, noted: { n: 3, hash: 'x' } }), { brokenAt: 3 })
    assert.deepEqual(verify(kept, { pruned, noted: { n: 2, hash: 'x' } }), { brokenAt: 2 }, 'it is gone')
    assert.deepEqual(verify(kept, { pruned: { ...pruned, hash: 'x' } }), { brokenAt: 4 })
    assert.deepEqual(verify(kept, { pruned: { ...pruned, at: 8 } }), { brokenAt: 3 }, 'its time')
    assert.deepEqual(verify(kept, { pruned: { ...pruned, n: 2 } }), { brokenAt: 3 })
    assert.deepEqual(verify(kept, { pruned: null }), { brokenAt: 1 })
    assert.deepEqual(verify(kept.slice(1), { pruned }), { brokenAt: 4 })
    assert.deepEqual(verify(records.slice(3), { pruned }), { brokenAt: 3 }, 'nothing says so')
    const fourth = { n: 4, hash: `${records[3]?.hash}`, at: 9 }
    assert.deepEqual(verify(kept.slice(1), { pruned: fourth }), { brokenAt: 4 }, 'more is gone than it says')
    assert.deepEqual(
      verify([...records, ...kept.slice(2)], { pruned: null }),
      { brokenAt: 1 },
      'less is gone',
    )
    assert.deepEqual(verify(kept), { brokenAt: 1 }, 'the place is gone')
  })

  it('of an export says itself from where it goes on', () => {
    const records = chain(5)
    const hashOf = (n: number) => `${records[n - 1]?.hash}`
    const detail = `up to 2 ${hashOf(2)}`
    const last = link(records[4] as AuditRecord, { at: 9, event: 'audit.pruned', actor: 'rescind', detail })
    const exported = [...records.slice(2), last]
    assert.deepEqual(verify(exported, {}), { first: 3, last: 6 })
    assert.deepEqual(verify(exported.slice(1), {}), { brokenAt: 1 }, 'one more is gone')
    assert.deepEqual(verify(exported.slice(1), { noted: { n: 3, hash: hashOf(3) } }), { first: 4, last: 6 })
    assert.deepEqual(verify(exported.slice(1), { noted: { n: 3, hash: 'x' } }), { brokenAt: 4 })
    assert.deepEqual(verify(exported.slice(0, -1), {}), { brokenAt: 1 }, 'nothing says so')
    for (const changedAt of [3, 4]) {
      const tampered = exported.map((record) => (record.n === changedAt ? { ...record, actor: 'x' } : record))
      assert.deepEqual(verify(tampered, {}), { brokenAt: changedAt })
    }
    assert.deepEqual(verify(chain(3), {}), { first: 1, last: 3 })
    assert.deepEqual(verify([{ ...(records[0] as AuditRecord), actor: 'x' }], {}), { brokenAt: 1 })
  })

  it('is of records that are written in one way alone', () => {
    const text = '{"at":1,"event":"revocation","actor":"x","seq":2}'
    assert.deepEqual(readEvent(text), { at: 1, event: 'revocation', actor: 'x', seq: 2 })
    const others = [
      ...[` ${text}`, `${text}\n`, text.replace('x', '\\u0078'), text.replace(':1', ':1.0'), ''],
      ...[text.replace('"seq":2', '"seq":"2"'), text.replace('"seq":2', '"seq":null'), '[]', 'null', '1'],
      ...[
        text.replace('"at":1,', ''),
        text.replace('"at":1', '"at":9000000000000000'),
        `{"at":1,${text.slice(1)}`,
      ],
      ...[text.replace('"seq"', '"toString"'), text.replace('"seq"', '"__proto__"')],
    ]
    for (const other of others) assert.equal(readEvent(other), undefined, other)
  })
})
