import type { DatabaseSync } from 'node:sqlite'
import { type CutOff, endedBy, tokensCutOff } from '../../domain/cut-off.ts'
import type { Policy } from '../../domain/policy.ts'
import type { Session } from '../../domain/session.ts'

type Row = { rowid: number; state: string; ended_seq: number | null }

/** Held in memory, by client, as every session that is read is held against those of its client and of all. */
export function openCutOffs(db: DatabaseSync) {
  const select = db.prepare('SELECT body FROM cut_offs ORDER BY seq')
  const insert = db.prepare('INSERT INTO cut_offs (seq, body) VALUES (?, ?)')
  const ofAll = new Map<string | undefined, CutOff[]>()
  const keep = (cutOff: CutOff) => {
    const some = ofAll.get(cutOff.clientId)
    if (some) some.push(cutOff)
    else ofAll.set(cutOff.clientId, [cutOff])
  }
  const of = (clientId: string | undefined): CutOff[] => {
    const everybody = ofAll.get(undefined) ?? []
    const own = (clientId !== undefined && ofAll.get(clientId)) || []
    if (own.length === 0) return everybody
    return everybody.length === 0 ? own : [...everybody, ...own].sort((a, b) => a.seq - b.seq)
  }
  return {
    /** Those of everybody and of a client, in the order in which they were made. */
    of,
    /** Those that a new one has to look at: of its client, or of every client. */
    for(clientId: string | undefined): CutOff[] {
      return clientId === undefined ? [...ofAll.values()].flat() : of(clientId)
    },
    read() {
      ofAll.clear()
      for (const { body } of select.all() as { body: string }[]) keep(JSON.parse(body) as CutOff)
    },
    add(cutOff: CutOff) {
      insert.run(cutOff.seq, JSON.stringify(cutOff))
      keep(cutOff)
    },
  }
}

/**
 * Walks over sessions, all of them or those of one client, in pages: what a cut-off kills stands in no row.
 * @param cutOffsOf those of everybody and of a client
 */
export function openWalks(
  db: DatabaseSync,
  policy: Policy,
  cutOffsOf: (clientId: string | undefined) => CutOff[],
) {
  const columns = 'SELECT rowid, state, ended_seq FROM sessions'
  const ofAll = db.prepare(`${columns} WHERE rowid > ? ORDER BY rowid LIMIT ?`)
  const ofClient = db.prepare(`${columns} WHERE client_id = ? AND rowid > ? ORDER BY rowid LIMIT ?`)
  const pagesOf = (clientId: string | undefined, after: number, limit: number) =>
    (clientId === undefined ? ofAll.all(after, limit) : ofClient.all(clientId, after, limit)) as Row[]
  return {
    cutOffTokens(after: number, at: number, limit: number, clientId?: string) {
      const rows = pagesOf(clientId, after, limit)
      const indexes = rows.flatMap((row) => {
        if (row.ended_seq !== null) return []
        const session = JSON.parse(row.state) as Session
        return tokensCutOff(session, cutOffsOf(session.clientId), policy, at).map(({ idx }) => idx)
      })
      return { indexes: indexes.filter((idx) => idx >= 0), next: rows.at(-1)?.rowid ?? after }
    },
    cutOffSessions(cutOff: Pick<CutOff, 'seq' | 'before' | 'clientId'>, after: number, limit: number) {
      const { clientId, seq } = cutOff
      const rows = pagesOf(clientId, after, limit)
      const last = { ...cutOff, at: 0, reason: 'admin_forced' as const }
      const ended = rows.flatMap((row) => {
        if (row.ended_seq !== null) return []
        const session = JSON.parse(row.state) as Session
        const first = cutOffsOf(session.clientId).filter((one) => one.seq < seq)
        return endedBy(session, [...first, last])?.seq === seq ? [session] : []
      })
      const subs = [...new Set(ended.map(({ sub }) => sub))]
      const clientIds = [...new Set(ended.map((one) => one.clientId))]
      return { sessions: ended.length, subs, clientIds, next: rows.at(-1)?.rowid ?? after }
    },
  }
}
