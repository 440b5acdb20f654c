import type { DatabaseSync } from 'node:sqlite'
import type { Session } from '../../domain/session.ts'
import type { Account, LiveList, StoredKey } from '../store.ts'
import { openDeliveries } from './deliveries.ts'
import { openLog } from './log.ts'
import { openRecords } from './records.ts'

/** All tables, each spoken to in one place. */
export function openTables(db: DatabaseSync) {
  return {
    ...openLog(db),
    ...openRecords(db),
    ...openSessions(db),
    ...openAccounts(db),
    ...openKeys(db),
    ...openLists(db),
    ...openDeliveries(db),
  }
}

export type Tables = ReturnType<typeof openTables>

type Row = Record<string, unknown>

function openSessions(db: DatabaseSync) {
  const select = db.prepare('SELECT state FROM sessions WHERE sid = ?')
  const insert = db.prepare(
    'INSERT INTO sessions (sid, sub, client_id, opened_at, browser, state) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  )
  const ofBrowser = db.prepare('SELECT state FROM sessions WHERE browser = ? ORDER BY rowid DESC LIMIT ?')
  const update = db.prepare('UPDATE sessions SET state = ?, ended_seq = ? WHERE sid = ?')
  return {
    session(sid: string): Session | undefined {
      const row = select.get(sid) as { state: string } | undefined
      return row && (JSON.parse(row.state) as Session)
    },
    sessionsOfBrowser(browser: string, limit: number): Session[] {
      const rows = ofBrowser.all(browser, limit) as { state: string }[]
      return rows.map((row) => JSON.parse(row.state) as Session)
    },
    /** False when there is one already. */
    insertSession(session: Session): boolean {
      const { sid, sub, clientId, openedAt, browser = null } = session
      return insert.run(sid, sub, clientId, openedAt, browser, JSON.stringify(session)).changes === 1
    },
    updateSession(session: Session) {
      update.run(JSON.stringify(session), session.ended?.seq ?? null, session.sid)
    },
  }
}

function openAccounts(db: DatabaseSync) {
  const byEmail = db.prepare('SELECT * FROM accounts WHERE email = ?')
  const bySub = db.prepare('SELECT * FROM accounts WHERE sub = ?')
  const all = db.prepare('SELECT * FROM accounts ORDER BY created_at')
  const insert = db.prepare(
    'INSERT INTO accounts (sub, email, name, password, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  )
  const setPassword = db.prepare('UPDATE accounts SET password = ? WHERE email = ?')
  return {
    account: (email: string) => toAccount(byEmail.get(email)),
    accountBySub: (sub: string) => toAccount(bySub.get(sub)),
    accounts: () => all.all().map((row) => toAccount(row) as Account),
    /** False when the e-mail is taken. */
    insertAccount({ sub, email, name, password, createdAt }: Account): boolean {
      return insert.run(sub, email, name, password, createdAt).changes === 1
    },
    /** False when there is no such account. */
    setPassword: (email: string, password: string): boolean => setPassword.run(password, email).changes === 1,
  }
}

function toAccount(row: Row | undefined): Account | undefined {
  if (!row) return undefined
  const { sub, email, name, password, created_at: createdAt } = row
  return { sub, email, name, password, createdAt } as Account
}

function openKeys(db: DatabaseSync) {
  const all = db.prepare('SELECT * FROM keys ORDER BY created_at, kid')
  const put = db.prepare(
    'INSERT INTO keys (kid, use, sealed, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
  )
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
