import type { DatabaseSync } from 'node:sqlite'
import type { Policy } from '../../domain/policy.ts'
import type { LiveList, StoredKey } from '../store.ts'
import { openAccounts } from './accounts.ts'
import { openDeliveries } from './deliveries.ts'
import { openLog } from './log.ts'
import { openRecords } from './records.ts'
import { openSessions } from './sessions.ts'
import { openSettling } from './settling.ts'

/** All tables, each spoken to in one place. */
export function openTables(db: DatabaseSync, policy: Policy) {
  const log = openLog(db)
  return {
    ...log,
    ...openSettling(db, () => log.newest().record),
    ...openRecords(db),
    ...openSessions(db, policy),
    ...openAccounts(db),
    ...openKeys(db),
    ...openLists(db),
    ...openDeliveries(db),
  }
}

export type SqliteTables = ReturnType<typeof openTables>

type Row = Record<string, unknown>

function openKeys(db: DatabaseSync) {
  const all = db.prepare('SELECT * FROM keys ORDER BY created_at, kid')
  const put = db.prepare(
    'INSERT INTO keys (kid, use, sealed, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
  )
  const drop = db.prepare('DELETE FROM keys WHERE kid = ?')
  const retire = db.prepare('UPDATE keys SET retired_at = ? WHERE kid = ? AND retired_at IS NULL')
  const advance = db.prepare(
    `INSERT INTO counters (name, value) VALUES (?1, ?2)
     ON CONFLICT (name) DO UPDATE SET value = value + excluded.value RETURNING value`,
  )
  return {
    keys: () => all.all().map(toKey),
    putKey({ kid, use, sealed, createdAt }: StoredKey) {
      put.run(kid, use, sealed, createdAt)
    },
    dropKey(kid: string) {
      drop.run(kid)
    },
    retireKey(kid: string, at: number) {
      retire.run(at, kid)
    },
    /** Adds `by` to a counter and gives what it was before. */
    advance: (name: string, by: number): number => (advance.get(name, by) as { value: number }).value - by,
  }
}

function openLists(db: DatabaseSync) {
  const keep = db.prepare(
    `INSERT INTO status_lists (list, until) VALUES (?, ?)
     ON CONFLICT (list) DO UPDATE SET until = max(until, excluded.until)`,
  )
  const forget = db.prepare('DELETE FROM status_lists WHERE until <= ?')
  const live = db.prepare('SELECT list, until FROM status_lists WHERE until > ? ORDER BY list')
  return {
    keepList: (list: number, until: number) => void keep.run(list, until),
    forgetLists: (at: number) => void forget.run(at),
    listsAt: (at: number) => live.all(at).map((row) => ({ ...row }) as LiveList),
  }
}

function toKey({ kid, use, sealed, created_at, retired_at }: Row): StoredKey {
  const key = { kid, use, sealed, createdAt: created_at } as StoredKey
  return retired_at === null ? key : { ...key, retiredAt: retired_at as number }
}
