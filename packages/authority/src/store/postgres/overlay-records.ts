import type { RecordWrite } from '../store.ts'
import { type RecordRow, toRecord } from './rows.ts'
import type { Heads, Reading } from './writes.ts'

/** Of which the processes keep something in mind. */
const CLIENT = 'Client'

/** The protocol library’s records, with what the group has written of them. */
export function recordTables({ need, writes }: Reading, heads: Heads) {
  const { records } = writes
  const nameOf = (model: string, id: string) => `${model} ${id}`
  function rowOf(model: string, id: string): RecordRow | null {
    const changed = records.get(nameOf(model, id))
    if (!changed) return need<RecordRow | null>('record', model, id)
    return changed.row ? { model, id, ...changed.row } : null
  }
  return {
    record: (model: string, id: string) => toRecord(rowOf(model, id)),
    recordByUid(model: string, uid: string) {
      const written = [...records.values()].findLast((one) => one.model === model && one.row?.uid === uid)
      if (written?.row) return toRecord({ model, id: written.id, ...written.row })
      const stored = need<RecordRow | null>('uid', model, uid)
      return stored && records.has(nameOf(model, stored.id)) ? undefined : toRecord(stored)
    },
    putRecord(write: Extract<RecordWrite, { op: 'put' }>) {
      const { model, id, payload, expiresAt = null, uid = null, sid = null } = write
      if (model === CLIENT) heads.clients++
      const before = records.get(nameOf(model, id))
      // What was used stays used.
      const consumed_at = before?.row?.consumed_at ?? null
      const row = { payload, expires_at: expiresAt, consumed_at, uid, sid }
      const anew = before !== undefined && (before.anew || !before.row)
      records.set(nameOf(model, id), { model, id, row, ...(anew ? { anew } : {}) })
    },
    consumeRecord(model: string, id: string, at: number) {
      const row = rowOf(model, id)
      if (!row) return
      const { payload, expires_at, uid, sid } = row
      records.set(nameOf(model, id), { model, id, row: { payload, expires_at, consumed_at: at, uid, sid } })
    },
    deleteRecord(model: string, id: string) {
      if (model === CLIENT) heads.clients++
      records.set(nameOf(model, id), { model, id })
    },
  }
}
