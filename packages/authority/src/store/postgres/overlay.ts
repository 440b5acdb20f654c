import { type Anchor, type AuditEvent, link } from '../../domain/audit.ts'
import type { CutOff } from '../../domain/cut-off.ts'
import type { Policy } from '../../domain/policy.ts'
import type { LoggedRevocation, Revocation } from '../../domain/revocation.ts'
import { outlivesAt, type Session } from '../../domain/session.ts'
import type { CutOffIndex } from '../cut-off-index.ts'
import { toSession } from '../rows.ts'
import type { Tables } from '../tables.ts'
import { tagOf } from '../tag.ts'
import { Missing } from './load.ts'
import { accountTables, keyTables } from './overlay-accounts.ts'
import { deliveryTables } from './overlay-deliveries.ts'
import { recordTables } from './overlay-records.ts'
import type { FullPartition } from './partitions.ts'
import type { SessionRow } from './rows.ts'
import type { ChangedSession, Heads, Reading, Writes } from './writes.ts'

export type Overlay = Tables & {
  writes: Writes
  heads: Heads
  cutOffs: CutOffIndex
  logged: LoggedRevocation[]
}

/**
 * The tables as a group of transactions sees them: what was loaded, and over it what the group has written so far. What is
 * wanted and not there yet is said by throwing; then it is loaded, and the group is decided anew.
 */
export function createOverlay(
  base: ReadonlyMap<string, unknown>,
  start: Heads,
  cutOffs: CutOffIndex,
  policy: Policy,
): Overlay {
  const writes: Writes = {
    ...{ sessions: new Map(), revocations: [], audit: [] },
    ...{ records: new Map(), counters: new Map(), statements: [] },
  }
  const heads = { ...start }
  const logged: LoggedRevocation[] = []
  const reading: Reading = {
    writes,
    need<T>(kind: string, ...wanted: (string | number)[]): T {
      const key = JSON.stringify([kind, ...wanted])
      if (!base.has(key)) throw new Missing(key)
      return base.get(key) as T
    },
  }
  function cut({ n, hash }: Anchor, statement: string, at: number): Anchor {
    const vouched = `INSERT INTO audit_anchor VALUES (1, $1, $2, $3)
      ON CONFLICT (id) DO UPDATE SET n = excluded.n, hash = excluded.hash, at = excluded.at`
    writes.statements.push([statement, []], [vouched, [n, hash, at]])
    return { n, hash }
  }
  return {
    writes,
    heads,
    cutOffs,
    logged,
    ...sessionTables(reading, cutOffs, policy),
    ...recordTables(reading, heads),
    ...accountTables(reading),
    ...keyTables(reading, heads),
    ...deliveryTables(reading),
    cutOffsOf: cutOffs.of,
    cutOffsFor: cutOffs.for,
    addCutOff(cutOff: CutOff) {
      writes.statements.push(['INSERT INTO cut_offs VALUES ($1, $2)', [cutOff.seq, JSON.stringify(cutOff)]])
      cutOffs.add(cutOff)
    },
    logRevocation(revocation: Revocation): LoggedRevocation {
      const seq = heads.seq + 1
      const body = JSON.stringify({ ...revocation, seq })
      const tag = tagOf(body)
      writes.revocations.push({ seq, at: revocation.at, body })
      Object.assign(heads, { seq, tag })
      const one = { ...revocation, seq, tag }
      logged.push(one)
      return one
    },
    appendAudit(event: AuditEvent) {
      const { n, hash, ...body } = link(heads.audit, event)
      writes.audit.push({ n, body, hash })
      heads.audit = { n, hash }
    },
    cutAudit(before: number, upTo: number, limit: number, at: number) {
      const whole = reading.need<FullPartition | undefined>('oldest-partition', 'audit')
      if (whole && whole.at < before && whole.n <= upTo && whole.n > 0)
        return cut(whole, `DROP TABLE ${whole.name}`, at)
      if (whole?.n === 0) writes.statements.push([`DROP TABLE ${whole.name}`, []])
      const rows = reading.need<{ n: number; at: number; hash: string }[]>('oldest-audit', limit)
      const kept = rows.findIndex((row) => row.at >= before || row.n > upTo)
      const gone = rows.slice(0, kept < 0 ? rows.length : kept).at(-1)
      return gone && cut(gone, `DELETE FROM audit WHERE n <= ${gone.n}`, at)
    },
    ...oldTables(reading, heads),
  }
}

/** What goes when it is old. */
function oldTables({ need, writes }: Reading, heads: Heads) {
  return {
    cutLog(before: number): boolean {
      const oldest = need<FullPartition | undefined>('oldest-partition', 'revocations')
      if (!oldest || oldest.at >= before || oldest.n >= heads.seq) return false
      writes.statements.push([`DROP TABLE ${oldest.name}`, []])
      return true
    },
    forgetSessions(before: number, limit: number): boolean {
      const sids = need<{ sid: string }[]>('ended-sessions', before, limit).map(({ sid }) => sid)
      if (sids.length > 0)
        writes.statements.push(['DELETE FROM sessions WHERE sid = ANY ($1::text[])', [sids]])
      return sids.length === limit
    },
  }
}

function sessionTables({ need, writes }: Reading, cutOffs: CutOffIndex, policy: Policy) {
  const { sessions } = writes
  const rowOf = (sid: string) => sessions.get(sid) ?? need<SessionRow | null>('session', sid)
  const current = (row: SessionRow & { sid: string }) => toSession(sessions.get(row.sid) ?? row, cutOffs)
  function change(sid: string, values: Partial<ChangedSession>) {
    const row = rowOf(sid)
    if (row) sessions.set(sid, { due_at: null, ...row, sid, ...values })
  }
  type Rows = (SessionRow & { sid: string })[]
  return {
    session(sid: string) {
      const row = rowOf(sid)
      return row ? toSession(row, cutOffs) : undefined
    },
    liveSessionsOf(sub: string): Session[] {
      const stored = need<Rows>('live', sub)
      const opened = [...sessions.values()].filter(({ inserted }) => inserted?.sub === sub).reverse()
      return [...opened, ...stored].map(current).filter(({ ended }) => !ended)
    },
    insertSession(session: Session): boolean {
      const { sid } = session
      if (rowOf(sid)) return false
      const nothing = { ended_seq: null, ended_at: null, ended_reason: null, last_seen: null }
      const due_at = outlivesAt(session, policy)
      sessions.set(sid, { sid, state: JSON.stringify(session), ...nothing, due_at, inserted: session })
      return true
    },
    updateSession({ ended, lastSeen: _, ...state }: Session) {
      const { seq = null, at = null, reason = null } = ended ?? {}
      const ending = { ended_seq: seq, ended_at: at, ended_reason: reason }
      change(state.sid, { state: JSON.stringify(state), ...ending })
    },
    sessionsDue: (at: number, limit: number) => need<Rows>('due', at, limit).map(current),
    lookAgain: (sid: string, at: number | null) => change(sid, { due_at: at }),
    seeSession: (sid: string, at: number) =>
      change(sid, { last_seen: Math.max(rowOf(sid)?.last_seen ?? 0, at) }),
    listSessions: ({ clientId, limit }: { clientId: string; limit: number }) => ({
      sessions: need<Rows>('of-client', clientId, limit).map(current),
    }),
  }
}
