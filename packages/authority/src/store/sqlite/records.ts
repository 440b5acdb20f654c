import type { DatabaseSync } from 'node:sqlite'
import type { RecordWrite, StoredRecord } from '../store.ts'

type Row = { id: string; payload: Uint8Array; consumed_at: number | null }

/** The protocol library's records, by model and hashed id. */
export function openRecords(db: DatabaseSync) {
  const columns = 'SELECT id, payload, consumed_at FROM records WHERE model = ?'
  const select = db.prepare(`${columns} AND id = ?`)
  const selectByUid = db.prepare(`${columns} AND uid = ?`)
  const selectAll = db.prepare(columns)
  const put = db.prepare(
    `INSERT INTO records (model, id, payload, expires_at, uid, sid) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (model, id) DO UPDATE SET
       payload = excluded.payload, expires_at = excluded.expires_at, uid = excluded.uid, sid = excluded.sid`,
  )
  const consume = db.prepare('UPDATE records SET consumed_at = ? WHERE model = ? AND id = ?')
  const remove = db.prepare('DELETE FROM records WHERE model = ? AND id = ?')
  const forget = db.prepare(
    `DELETE FROM records WHERE (model, id) IN
       (SELECT model, id FROM records WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`,
  )
  return {
    record: (model: string, id: string) => toRecord(select.get(model, id) as Row | undefined),
    recordByUid: (model: string, uid: string) => toRecord(selectByUid.get(model, uid) as Row | undefined),
    recordsOf: (model: string) => (selectAll.all(model) as Row[]).map((row) => toRecord(row) as StoredRecord),
    putRecord(write: Extract<RecordWrite, { op: 'put' }>) {
      const { model, id, payload, expiresAt = null, uid = null, sid = null } = write
      put.run(model, id, payload, expiresAt, uid, sid)
    },
    consumeRecord(model: string, id: string, at: number) {
      consume.run(at, model, id)
    },
    deleteRecord(model: string, id: string) {
      remove.run(model, id)
    },
    /** Forgets up to `limit` records that expired before `before` (s); how many there were. */
    forgetExpired: (before: number, limit: number) => Number(forget.run(before, limit).changes),
  }
}

function toRecord(row: Row | undefined): StoredRecord | undefined {
  if (!row) return undefined
  const { id, payload, consumed_at: consumed } = row
  return { id, payload, ...(consumed === null ? {} : { consumed }) }
}
