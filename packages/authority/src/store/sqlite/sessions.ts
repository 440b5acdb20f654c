import type { DatabaseSync } from 'node:sqlite'
import type { Policy } from '../../domain/policy.ts'
import { outlivesAt, type Session } from '../../domain/session.ts'
import { type StoredSession, toSession as sessionOf } from '../rows.ts'
import { openCutOffs, openWalks } from './cut-offs.ts'

type Row = StoredSession & { rowid: number }

const COLUMNS = 'SELECT rowid, state, ended_seq, ended_at, ended_reason, last_seen FROM sessions'

/** The sessions, each as it is now. */
export function openSessions(db: DatabaseSync, policy: Policy) {
  const select = db.prepare(`${COLUMNS} WHERE sid = ?`)
  const insert = db.prepare(
    `INSERT INTO sessions (sid, sub, client_id, opened_at, browser, due_at, state) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
  )
  const ofBrowser = db.prepare(`${COLUMNS} WHERE browser = ? ORDER BY rowid DESC LIMIT ?`)
  // Those that ended a moment ago are among them: see settling.ts.
  const live = db.prepare(`${COLUMNS} WHERE sub = ? AND settled_seq IS NULL ORDER BY rowid DESC`)
  const ended = db.prepare(
    `${COLUMNS} WHERE sub = ? AND settled_seq IS NOT NULL AND ended_at > ? ORDER BY settled_seq DESC LIMIT ?`,
  )
  const page = db.prepare(`${COLUMNS} WHERE rowid > ? ORDER BY rowid LIMIT ?`)
  const update = db.prepare(
    'UPDATE sessions SET state = ?, ended_seq = ?, ended_at = ?, ended_reason = ? WHERE sid = ?',
  )
  const cutOffs = openCutOffs(db)

  const toSession = (row: Row) => sessionOf(row, cutOffs)
  const sessionsIn = (rows: unknown[]) => (rows as Row[]).map(toSession)
  return {
    session(sid: string): Session | undefined {
      const row = select.get(sid) as Row | undefined
      return row && toSession(row)
    },
    sessionsOfBrowser: (browser: string, limit: number) => sessionsIn(ofBrowser.all(browser, limit)),
    liveSessionsOf: (sub: string) => sessionsIn(live.all(sub)).filter((session) => !session.ended),
    sessionsOf(sub: string, endedSince: number, limit: number): Session[] {
      const all = sessionsIn(live.all(sub))
      const justEnded = all.filter((one) => one.ended && one.ended.at > endedSince)
      justEnded.sort((a, b) => Number(b.ended?.seq) - Number(a.ended?.seq))
      const open = all.filter((one) => !one.ended)
      return [...open, ...justEnded, ...sessionsIn(ended.all(sub, endedSince, limit))].slice(0, limit)
    },
    sessionsAfter(after: number, limit: number): { sessions: Session[]; next: number } {
      const rows = page.all(after, limit) as Row[]
      return { sessions: rows.map(toSession), next: rows.at(-1)?.rowid ?? after }
    },
    /** False when there is one already. */
    insertSession(session: Session): boolean {
      const { sid, sub, clientId, openedAt, browser = null } = session
      const dueAt = outlivesAt(session, policy)
      return insert.run(sid, sub, clientId, openedAt, browser, dueAt, JSON.stringify(session)).changes === 1
    },
    updateSession({ ended: ending, lastSeen: _, ...state }: Session) {
      const { seq = null, at = null, reason = null } = ending ?? {}
      update.run(JSON.stringify(state), seq, at, reason, state.sid)
    },
    ...openWalks(db, policy, cutOffs.of),
    ...openDue(db, sessionsIn),
    ...openLists(db, toSession),
    cutOffsOf: cutOffs.of,
    cutOffsFor: cutOffs.for,
    addCutOff: cutOffs.add,
    readCutOffs: cutOffs.read,
  }
}

/** What administrators look at. */
function openLists(db: DatabaseSync, toSession: (row: Row) => Session) {
  const lists = {
    all: db.prepare(`${COLUMNS} WHERE rowid < ?2 AND ?1 IS NULL ORDER BY rowid DESC LIMIT ?3`),
    sub: db.prepare(`${COLUMNS} WHERE sub = ?1 AND rowid < ?2 ORDER BY rowid DESC LIMIT ?3`),
    clientId: db.prepare(`${COLUMNS} WHERE client_id = ?1 AND rowid < ?2 ORDER BY rowid DESC LIMIT ?3`),
  }
  return {
    listSessions(query: { sub?: string; clientId?: string; before?: number; limit: number }) {
      const { sub, clientId, before = Number.MAX_SAFE_INTEGER, limit } = query
      // An account has few sessions: those of one client among them are picked out here.
      const [list, of] =
        sub !== undefined ? [lists.sub, sub] : [clientId ? lists.clientId : lists.all, clientId ?? null]
      const rows = list.all(of, before, limit) as Row[]
      const sessions = rows.map(toSession).filter((one) => (clientId ?? one.clientId) === one.clientId)
      const last = rows.length === limit ? rows.at(-1) : undefined
      return { sessions, ...(last ? { next: last.rowid } : {}) }
    },
  }
}

/** What the timer looks at, and when sessions were last seen. */
function openDue(db: DatabaseSync, sessionsIn: (rows: unknown[]) => Session[]) {
  const due = db.prepare(`${COLUMNS} WHERE due_at <= ? ORDER BY due_at LIMIT ?`)
  const setDue = db.prepare('UPDATE sessions SET due_at = ? WHERE sid = ?')
  const seen = db.prepare('UPDATE sessions SET last_seen = max(ifnull(last_seen, 0), ?) WHERE sid = ?')
  const forget = db.prepare(
    'DELETE FROM sessions WHERE sid IN (SELECT sid FROM sessions WHERE ended_at < ? ORDER BY ended_at LIMIT ?)',
  )
  return {
    /** Those whose time may be over: they are looked at again when `outlivesAt` says so. */
    sessionsDue: (at: number, limit: number) => sessionsIn(due.all(at, limit)),
    lookAgain: (sid: string, at: number | null) => void setDue.run(at, sid),
    seeSession: (sid: string, at: number) => void seen.run(at, sid),
    forgetSessions: (before: number, limit: number) => Number(forget.run(before, limit).changes) === limit,
  }
}
