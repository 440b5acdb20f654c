import type { DatabaseSync } from 'node:sqlite'
import { type AuditEvent, type AuditRecord, CHAIN_START, link } from '../../domain/audit.ts'
import type { LoggedRevocation, Revocation } from '../../domain/revocation.ts'
import type { Session } from '../../domain/session.ts'
import type { Account, AuditFilter, RecordWrite, StoredKey, StoredRecord } from '../store.ts'

/*
 * The tables, each spoken to in one place. The heads of the log and of the audit chain are held in memory while
 * no other process writes; `refreshHeads` reads them again when one did, or after a rollback.
 */

type Row = Record<string, unknown>

export function openTables(db: DatabaseSync) {
  const heads = { seq: 0, audit: { n: 0, hash: CHAIN_START }, dataVersion: -1 }
  const statement = prepareAll(db)

  const dataVersion = () => (statement.dataVersion.get() as { data_version: number }).data_version
  return {
    refreshHeads(force = false) {
      const version = dataVersion()
      if (!force && version === heads.dataVersion) return false
      const first = heads.dataVersion === -1
      heads.dataVersion = version
      heads.seq = ((statement.lastSeq.get() as Row).seq as number | null) ?? 0
      const last = statement.lastAudit.get() as AuditRecord | undefined
      heads.audit = last ? { n: last.n, hash: last.hash } : { n: 0, hash: CHAIN_START }
      return !first && !force
    },
    head: () => ({ seq: heads.seq, records: heads.audit.n }),

    session(sid: string): Session | undefined {
      const row = statement.session.get(sid) as { state: string } | undefined
      return row && (JSON.parse(row.state) as Session)
    },
    insertSession(session: Session): boolean {
      const { sid, sub, clientId, openedAt } = session
      return statement.insertSession.run(sid, sub, clientId, openedAt, JSON.stringify(session)).changes === 1
    },
    updateSession(session: Session) {
      statement.updateSession.run(JSON.stringify(session), session.ended?.seq ?? null, session.sid)
    },

    logRevocation(revocation: Revocation): LoggedRevocation {
      const logged = { ...revocation, seq: heads.seq + 1 }
      statement.insertRevocation.run(logged.seq, logged.at, JSON.stringify(logged))
      heads.seq = logged.seq
      return logged
    },
    revocations(after: number, since: number, limit: number): LoggedRevocation[] {
      const rows = statement.revocations.all(after, since, limit) as { body: string }[]
      return rows.map((row) => JSON.parse(row.body) as LoggedRevocation)
    },

    appendAudit(event: AuditEvent) {
      const record = link(heads.audit, event)
      const { n, hash, ...body } = record
      statement.insertAudit.run(
        n,
        body.at,
        body.event,
        body.sub ?? null,
        body.sid ?? null,
        JSON.stringify(body),
        hash,
      )
      heads.audit = { n, hash }
    },
    audit(filter: AuditFilter): AuditRecord[] {
      const { after = 0, event = null, sub = null, sid = null, limit } = filter
      const rows = statement.audit.all(after, event, event, sub, sub, sid, sid, limit) as Row[]
      return rows.map(
        (row) => ({ ...JSON.parse(row.body as string), n: row.n, hash: row.hash }) as AuditRecord,
      )
    },

    record(model: string, id: string) {
      return toRecord(statement.record.get(model, id) as Row | undefined)
    },
    recordByUid(model: string, uid: string) {
      return toRecord(statement.recordByUid.get(model, uid) as Row | undefined)
    },
    recordsOf(model: string) {
      return (statement.recordsOf.all(model) as Row[]).map((row) => toRecord(row) as StoredRecord)
    },
    putRecord(write: Extract<RecordWrite, { op: 'put' }>) {
      const { model, id, payload, expiresAt = null, uid = null, sid = null } = write
      statement.putRecord.run(model, id, payload, expiresAt, uid, sid)
    },
    consumeRecord: (model: string, id: string, at: number) => {
      statement.consumeRecord.run(at, model, id)
    },
    deleteRecord: (model: string, id: string) => {
      statement.deleteRecord.run(model, id)
    },
    /** Forgets up to `limit` records that expired before `before` (s). */
    forgetExpired(before: number, limit: number): number {
      return Number(statement.forgetExpired.run(before, limit).changes)
    },

    account: (email: string) => toAccount(statement.account.get(email) as Row | undefined),
    accountBySub: (sub: string) => toAccount(statement.accountBySub.get(sub) as Row | undefined),
    accounts: () => (statement.accounts.all() as Row[]).map((row) => toAccount(row) as Account),
    insertAccount(account: Account): boolean {
      const { sub, email, name, password, createdAt } = account
      return statement.insertAccount.run(sub, email, name, password, createdAt).changes === 1
    },
    setPassword: (email: string, password: string) =>
      statement.setPassword.run(password, email).changes === 1,

    keys: () => (statement.keys.all() as Row[]).map(toKey),
    putKey(key: StoredKey) {
      statement.putKey.run(key.kid, key.use, key.sealed, key.createdAt)
    },
    retireKey: (kid: string, at: number) => {
      statement.retireKey.run(at, kid)
    },

    /** Adds `by` to a counter and gives what it was before. */
    advance(name: string, by: number): number {
      const row = statement.advance.get(name, by) as { value: number }
      return row.value - by
    },
  }
}

export type Tables = ReturnType<typeof openTables>

function prepareAll(db: DatabaseSync) {
  const prepare = (sql: string) => db.prepare(sql)
  return {
    dataVersion: prepare('PRAGMA data_version'),
    lastSeq: prepare('SELECT max(seq) AS seq FROM revocations'),
    lastAudit: prepare('SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1'),
    session: prepare('SELECT state FROM sessions WHERE sid = ?'),
    insertSession: prepare(
      'INSERT INTO sessions (sid, sub, client_id, opened_at, state) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    ),
    updateSession: prepare('UPDATE sessions SET state = ?, ended_seq = ? WHERE sid = ?'),
    insertRevocation: prepare('INSERT INTO revocations (seq, at, body) VALUES (?, ?, ?)'),
    revocations: prepare('SELECT body FROM revocations WHERE seq > ? AND at >= ? ORDER BY seq LIMIT ?'),
    insertAudit: prepare(
      'INSERT INTO audit (n, at, event, sub, sid, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ),
    audit: prepare(
      `SELECT n, body, hash FROM audit WHERE n > ? AND (? IS NULL OR event = ?)
       AND (? IS NULL OR sub = ?) AND (? IS NULL OR sid = ?) ORDER BY n LIMIT ?`,
    ),
    record: prepare('SELECT id, payload, consumed_at FROM records WHERE model = ? AND id = ?'),
    recordByUid: prepare('SELECT id, payload, consumed_at FROM records WHERE model = ? AND uid = ?'),
    recordsOf: prepare('SELECT id, payload, consumed_at FROM records WHERE model = ?'),
    putRecord: prepare(
      `INSERT INTO records (model, id, payload, expires_at, uid, sid) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (model, id) DO UPDATE SET
         payload = excluded.payload, expires_at = excluded.expires_at, uid = excluded.uid, sid = excluded.sid`,
    ),
    consumeRecord: prepare('UPDATE records SET consumed_at = ? WHERE model = ? AND id = ?'),
    deleteRecord: prepare('DELETE FROM records WHERE model = ? AND id = ?'),
    forgetExpired: prepare(
      `DELETE FROM records WHERE (model, id) IN
         (SELECT model, id FROM records WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`,
    ),
    account: prepare('SELECT * FROM accounts WHERE email = ?'),
    accountBySub: prepare('SELECT * FROM accounts WHERE sub = ?'),
    accounts: prepare('SELECT * FROM accounts ORDER BY created_at'),
    insertAccount: prepare(
      'INSERT INTO accounts (sub, email, name, password, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    ),
    setPassword: prepare('UPDATE accounts SET password = ? WHERE email = ?'),
    keys: prepare('SELECT * FROM keys ORDER BY created_at, kid'),
    putKey: prepare(
      'INSERT INTO keys (kid, use, sealed, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
    ),
    retireKey: prepare('UPDATE keys SET retired_at = ? WHERE kid = ? AND retired_at IS NULL'),
    advance: prepare(
      `INSERT INTO counters (name, value) VALUES (?1, ?2)
       ON CONFLICT (name) DO UPDATE SET value = value + excluded.value RETURNING value`,
    ),
  }
}

function toRecord(row: Row | undefined): StoredRecord | undefined {
  if (!row) return undefined
  const consumed = row.consumed_at as number | null
  return {
    id: row.id as string,
    payload: row.payload as Uint8Array,
    ...(consumed === null ? {} : { consumed }),
  }
}

function toAccount(row: Row | undefined): Account | undefined {
  if (!row) return undefined
  const { sub, email, name, password, created_at } = row as Record<string, string>
  return { sub, email, name, password, createdAt: Number(created_at) } as Account
}

function toKey(row: Row): StoredKey {
  const { kid, use, sealed, created_at, retired_at } = row
  return {
    kid: kid as string,
    use: use as StoredKey['use'],
    sealed: sealed as Uint8Array,
    createdAt: created_at as number,
    ...(retired_at === null ? {} : { retiredAt: retired_at as number }),
  }
}
