import type { DatabaseSync } from 'node:sqlite'
import { type Anchor, type AuditEvent, CHAIN_START, link } from '../../domain/audit.ts'
import type { LoggedRevocation, Revocation } from '../../domain/revocation.ts'
import { tagOf } from '../tag.ts'
import { N, openAudit } from './audit.ts'

/**
 * The revocation log and the audit chain. Their heads are held in memory while no other process writes;
 * `refreshHeads` reads them again when one did, or after a rollback.
 */
export function openLog(db: DatabaseSync) {
  const heads = { seq: 0, tag: '', audit: CHAIN_START, dataVersion: -1 }
  const dataVersion = db.prepare('PRAGMA data_version')
  const last = db.prepare('SELECT seq, body FROM revocations ORDER BY seq DESC LIMIT 1')
  const bodyAt = db.prepare('SELECT body FROM revocations WHERE seq = ?')
  const firstSeq = db.prepare('SELECT min(seq) AS seq FROM revocations')
  const lastAudit = db.prepare(`SELECT ${N}, hash FROM audit ORDER BY audit.n DESC LIMIT 1`)
  const insertRevocation = db.prepare('INSERT INTO revocations (seq, at, body) VALUES (?, ?, ?)')
  const selectRevocations = db.prepare(
    'SELECT body FROM revocations WHERE seq > ? AND at >= ? ORDER BY seq LIMIT ?',
  )
  const insertAudit = db.prepare(
    'INSERT INTO audit (n, at, event, sub, sid, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?)',
  )
  const oldestRevocations = db.prepare('SELECT seq, at FROM revocations ORDER BY seq LIMIT ?')
  const cutRevocations = db.prepare('DELETE FROM revocations WHERE seq <= ?')
  const audit = openAudit(db)
  return {
    /** Whether another process has written since the last look. */
    refreshHeads(force = false): boolean {
      const { data_version: version } = dataVersion.get() as { data_version: number }
      if (!force && version === heads.dataVersion) return false
      heads.dataVersion = version
      const newest = last.get() as { seq: number; body: string } | undefined
      heads.seq = newest?.seq ?? 0
      heads.tag = newest ? tagOf(newest.body) : ''
      heads.audit = (lastAudit.get() as Anchor | undefined) ?? audit.anchor() ?? CHAIN_START
      return !force
    },
    newest: () => ({ seq: heads.seq, record: heads.audit.n }),
    head: () => ({
      first: (firstSeq.get() as { seq: number | null }).seq ?? 0,
      ...{ seq: heads.seq, tag: heads.tag },
      records: heads.audit.n,
    }),

    logRevocation(revocation: Revocation): LoggedRevocation {
      const seq = heads.seq + 1
      const body = JSON.stringify({ ...revocation, seq })
      const tag = tagOf(body)
      insertRevocation.run(seq, revocation.at, body)
      heads.seq = seq
      heads.tag = tag
      return { ...revocation, seq, tag }
    },
    revocations(after: number, since: number, limit: number): LoggedRevocation[] {
      const rows = selectRevocations.all(after, since, limit) as { body: string }[]
      return rows.map(({ body }) => ({ ...JSON.parse(body), tag: tagOf(body) }) as LoggedRevocation)
    },
    tagAt(seq: number): string | undefined {
      const row = bodyAt.get(seq) as { body: string } | undefined
      return row && tagOf(row.body)
    },

    appendAudit(event: AuditEvent) {
      const { n, hash, ...body } = link(heads.audit, event)
      insertAudit.run(n, body.at, body.event, body.sub ?? null, body.sid ?? null, JSON.stringify(body), hash)
      heads.audit = { n, hash }
    },
    cutLog(before: number, limit: number): boolean {
      const rows = oldestRevocations.all(limit) as { seq: number; at: number }[]
      // The newest one says where the log is.
      const kept = rows.findIndex(({ seq, at }) => at >= before || seq === heads.seq)
      const gone = rows[(kept < 0 ? rows.length : kept) - 1]
      if (gone) cutRevocations.run(gone.seq)
      return rows.length > 0 && kept < 0
    },
    ...audit,
  }
}
