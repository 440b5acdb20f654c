import type { DatabaseSync } from 'node:sqlite'
import { type CutOff, endedBy, tokensCutOff } from '../../domain/cut-off.ts'
import type { Policy } from '../../domain/policy.ts'
import type { Session } from '../../domain/session.ts'
import { createCutOffIndex } from '../cut-off-index.ts'

type Row = { rowid: number; state: string; ended_seq: number | null }

export function openCutOffs(db: DatabaseSync) {
  const select = db.prepare('SELECT body FROM cut_offs ORDER BY seq')
  const insert = db.prepare('INSERT INTO cut_offs (seq, body) VALUES (?, ?)')
  let index = createCutOffIndex()
  return {
    of: (clientId: string | undefined) => index.of(clientId),
    for: (clientId: string | undefined) => index.for(clientId),
    read() {
      index = createCutOffIndex((select.all() as { body: string }[]).map(({ body }) => JSON.parse(body)))
    },
    add(cutOff: CutOff) {
      insert.run(cutOff.seq, JSON.stringify(cutOff))
      index.add(cutOff)
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
