import type { DatabaseSync } from 'node:sqlite'
import type { Device, SeenDevice } from '../../domain/device.ts'
import { changed, conflictOf } from '../account-change.ts'
import { toAccount, toDevice } from '../rows.ts'
import type { Account, AccountChange } from '../store.ts'

type Row = Record<string, string | number | null>

/** The accounts and their devices. */
export function openAccounts(db: DatabaseSync) {
  const byEmail = db.prepare('SELECT * FROM accounts WHERE email = ?')
  const bySub = db.prepare('SELECT * FROM accounts WHERE sub = ?')
  const some = db.prepare('SELECT rowid, * FROM accounts WHERE rowid > ? ORDER BY rowid LIMIT ?')
  const marked = db.prepare(
    'SELECT rowid, * FROM accounts WHERE review_since IS NOT NULL AND rowid > ? ORDER BY rowid LIMIT ?',
  )
  const insert = db.prepare(
    'INSERT INTO accounts (sub, email, name, password, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  )
  const update = db.prepare(
    `UPDATE accounts SET email = ?, password = ?, valid_after = ?, valid_browser = ?, reset_required = ?,
     review_since = ?, deactivated_at = ? WHERE sub = ?`,
  )
  const account = (row: unknown) => toAccount(row as Row | undefined)
  return {
    ...openDevices(db),
    account: (email: string) => account(byEmail.get(email)),
    accountBySub: (sub: string) => account(bySub.get(sub)),
    accounts(review: boolean, after: number, limit: number) {
      const rows = (review ? marked : some).all(after, limit) as Row[]
      const last = rows.length === limit ? (rows.at(-1)?.rowid as number) : undefined
      const accounts = rows.map((row) => account(row) as Account)
      return { accounts, ...(last === undefined ? {} : { next: last }) }
    },
    /** False when the e-mail is taken. */
    insertAccount({ sub, email, name, password, createdAt }: Account): boolean {
      return insert.run(sub, email, name, password, createdAt).changes === 1
    },
    /** What speaks against a change: nothing of it is written then. */
    conflictWith: (change: AccountChange): string | undefined =>
      conflictOf(change, account(bySub.get(change.sub)), (email) => account(byEmail.get(email))),
    changeAccount(change: AccountChange) {
      const now = changed(account(bySub.get(change.sub)) as Account, change)
      update.run(
        now.email,
        now.password,
        now.validAfter ?? null,
        now.validBrowser ?? null,
        now.resetRequired ? 1 : null,
        now.reviewSince ?? null,
        now.deactivatedAt ?? null,
        now.sub,
      )
    },
  }
}

function openDevices(db: DatabaseSync) {
  const ofAccount = db.prepare('SELECT * FROM devices WHERE sub = ? ORDER BY last_seen DESC')
  const byId = db.prepare('SELECT * FROM devices WHERE id = ?')
  const insert = db.prepare(
    `INSERT INTO devices (id, sub, name, browser, os, kind, first_seen, last_seen, address, place)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9) ON CONFLICT DO NOTHING`,
  )
  const update = db.prepare(
    `UPDATE devices SET name = iif(renamed, name, ?3), browser = ?4, os = ?5, kind = ?6, last_seen = ?7,
     address = ?8, place = ?9 WHERE id = ?1 AND sub = ?2`,
  )
  const rename = db.prepare('UPDATE devices SET name = ?, renamed = 1 WHERE id = ? AND sub = ?')
  return {
    device(id: string): Device | undefined {
      const row = byId.get(id) as Row | undefined
      return row && toDevice(row)
    },
    devicesOf: (sub: string) => (ofAccount.all(sub) as Row[]).map(toDevice),
    /** Whether it was not known before. */
    seeDevice({ id, sub, name, browser, os, kind, lastSeen, address, place }: SeenDevice): boolean {
      const facts = [id, sub, name, browser ?? null, os ?? null, kind, lastSeen, address, place] as const
      if (insert.run(...facts).changes === 1) return true
      update.run(...facts)
      return false
    },
    /** False when there is no such device of this account. */
    renameDevice: (sub: string, id: string, name: string): boolean => rename.run(name, id, sub).changes === 1,
  }
}
