import type { RecordWrite, WriteOutcome } from './store.ts'
import type { Tables } from './tables.ts'

export type Conflict = Exclude<WriteOutcome, { kind: 'written' }>

/** What speaks against writing records: asked before the first write. */
export function conflictIn(tables: Tables, records: RecordWrite[]): Conflict | undefined {
  for (const record of records) {
    const { model, id, op } = record
    if (op === 'consume') {
      const stored = tables.record(model, id)
      if (!stored || stored.consumed !== undefined) return { kind: 'conflict', model, op }
    }
    if (op === 'need') {
      const found =
        record.uid === undefined ? tables.record(model, id) : tables.recordByUid(model, record.uid)
      if (!found) return { kind: 'conflict', model, op }
    }
    if (op === 'free' && (tables.recordByUid(model, record.uid)?.id ?? id) !== id)
      return { kind: 'conflict', model, op }
    if (op === 'put' && record.once && tables.record(model, id)) return { kind: 'conflict', model, op }
  }
  return undefined
}

export function writeRecords(tables: Tables, records: RecordWrite[]) {
  for (const record of records) {
    if (record.op === 'put') tables.putRecord(record)
    else if (record.op === 'consume') tables.consumeRecord(record.model, record.id, record.at)
    else if (record.op === 'delete') tables.deleteRecord(record.model, record.id)
  }
}
