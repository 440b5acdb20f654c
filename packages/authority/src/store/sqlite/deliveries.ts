import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import {
  type DeliveryAnswers,
  type DeliveryOutcomes,
  type DeliveryQuery,
  type DeliveryTransaction,
  type DueDelivery,
  FORGET_DEAD_AFTER,
  FORGET_DELIVERED_AFTER,
  GIVE_UP_AFTER,
  MAX_DEAD,
  MAX_WAITING,
  MAX_WAITING_FOR_ONE,
  type NewDelivery,
} from '../deliveries.ts'
import { toDelivery } from '../rows.ts'
import { openRecords } from './records.ts'

export const DELIVERIES_SCHEMA = `
  CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    topic TEXT NOT NULL,
    target TEXT NOT NULL,
    lane TEXT NOT NULL,
    sub TEXT,
    payload BLOB NOT NULL,
    n INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    give_up_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'waiting',
    forget_at INTEGER,
    last_error TEXT
  ) STRICT;
  CREATE INDEX deliveries_waiting ON deliveries (lane, next_at) WHERE state = 'waiting';
  CREATE INDEX deliveries_forget ON deliveries (state, forget_at) WHERE forget_at IS NOT NULL;
  CREATE INDEX deliveries_mail_target ON deliveries (target, created_at) WHERE kind = 'mail';
  CREATE INDEX deliveries_mail_account ON deliveries (sub, created_at) WHERE kind = 'mail';
  `

const CURSOR = 'notify-cursor'
const FORGET_AT_ONCE = 1_000
const MAX_HISTORY = 200

type Row = Record<string, SQLInputValue>

/** The outbox: deliveries, and the place in the audit log up to which they were made. */
export function openDeliveries(db: DatabaseSync) {
  const records = openRecords(db)
  const cursor = db.prepare('SELECT value FROM counters WHERE name = ?')
  const moveCursor = db.prepare(
    'INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  )
  const insert = db.prepare(
    `INSERT INTO deliveries
       (id, kind, topic, target, lane, sub, payload, n, created_at, next_at, give_up_at, state, forget_at, last_error)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
  )
  const settle = db.prepare(
    `UPDATE deliveries SET attempts = attempts + 1, state = ?, next_at = ?, forget_at = ?, last_error = ?
     WHERE id = ? AND state = 'waiting'`,
  )
  const replay = db.prepare(
    `UPDATE deliveries SET state = 'waiting', attempts = 0, next_at = ?1, give_up_at = ?2, forget_at = NULL
     WHERE state = 'dead' AND (?3 IS NULL OR id = ?3)`,
  )
  const forget = db.prepare(
    `DELETE FROM deliveries WHERE rowid IN
       (SELECT rowid FROM deliveries WHERE state = ? AND forget_at < ? ORDER BY forget_at LIMIT ?)`,
  )
  const room = openBounds(db)

  function queue({ from, to, deliveries, records: codes, at }: Queue): DeliveryOutcomes['queue-deliveries'] {
    if (readCursor() !== from) return { kind: 'conflict' }
    moveCursor.run(CURSOR, to)
    for (const code of codes) records.putRecord({ op: 'put', ...code })
    const fits = room.measure()
    let refused = 0
    for (const one of deliveries) {
      const { id, kind, topic, target, lane, sub = null, payload, n, nextAt } = one
      const full = fits(one) ? null : 'too many are waiting for this receiver'
      if (full) refused++
      const end = full ? (['dead', at + FORGET_DEAD_AFTER] as const) : (['waiting', null] as const)
      const times = [at, nextAt, at + GIVE_UP_AFTER]
      insert.run(id, kind, topic, target, lane, sub, payload, n, ...times, ...end, full)
    }
    for (const state of ['delivered', 'dead']) forget.run(state, at, FORGET_AT_ONCE)
    if (refused > 0) room.trimDead()
    return { kind: 'queued', refused }
  }
  function readCursor() {
    return (cursor.get(CURSOR) as { value: number } | undefined)?.value
  }

  return {
    /** The newest audit record of which notices were made. */
    noticesMadeOf: () => readCursor() ?? 0,
    changeDeliveries(transaction: DeliveryTransaction): DeliveryOutcomes[DeliveryTransaction['kind']] {
      if (transaction.kind === 'queue-deliveries') return queue(transaction)
      const { at, id = null } = transaction
      if (transaction.kind === 'replay-deliveries') {
        return { kind: 'replayed', count: Number(replay.run(at, at + GIVE_UP_AFTER, id).changes) }
      }
      const { state, nextAt, error = null } = transaction
      const keep = { waiting: null, delivered: at + FORGET_DELIVERED_AFTER, dead: at + FORGET_DEAD_AFTER }
      settle.run(state, nextAt, keep[state], error, id)
      if (state === 'dead') room.trimDead()
      return { kind: 'settled' }
    },
    ...openQuestions(db, readCursor),
  }
}

type Queue = Extract<DeliveryTransaction, { kind: 'queue-deliveries' }>

/** The bounds of the table. */
function openBounds(db: DatabaseSync) {
  const waiting = db.prepare("SELECT count(*) AS n FROM deliveries WHERE state = 'waiting'")
  const waitingIn = db.prepare("SELECT count(*) AS n FROM deliveries WHERE state = 'waiting' AND lane = ?")
  const dead = db.prepare(
    "SELECT count(*) AS n FROM deliveries WHERE state = 'dead' AND forget_at IS NOT NULL",
  )
  const forgetDead = db.prepare(
    `DELETE FROM deliveries WHERE rowid IN (SELECT rowid FROM deliveries
       WHERE state = 'dead' AND forget_at IS NOT NULL ORDER BY forget_at LIMIT ?)`,
  )
  const count = (answer: Row | undefined) => Number(answer?.n ?? 0)
  return {
    /** Whether one more may wait; each that may is counted. */
    measure() {
      let all: number | undefined
      const lanes = new Map<string, number>()
      return ({ lane, kind }: NewDelivery): boolean => {
        all ??= count(waiting.get())
        const own = lanes.get(lane) ?? count(waitingIn.get(lane))
        // All mail goes through one server, and has budgets of its own.
        if (all >= MAX_WAITING || (kind !== 'mail' && own >= MAX_WAITING_FOR_ONE)) return false
        all++
        lanes.set(lane, own + 1)
        return true
      }
    },
    trimDead() {
      const tooMany = count(dead.get()) - MAX_DEAD
      if (tooMany > 0) forgetDead.run(tooMany)
    },
  }
}

function openQuestions(db: DatabaseSync, readCursor: () => number | undefined) {
  const list = db.prepare(
    'SELECT * FROM deliveries WHERE ?1 IS NULL OR state = ?1 ORDER BY created_at DESC, n DESC LIMIT ?2',
  )
  // Goes from lane to lane along the index, without reading what waits in them.
  const lanes = db.prepare(
    `WITH RECURSIVE lanes (lane) AS (
       SELECT min(lane) FROM deliveries WHERE state = 'waiting'
       UNION ALL
       SELECT (SELECT min(lane) FROM deliveries WHERE state = 'waiting' AND lane > lanes.lane)
       FROM lanes WHERE lane IS NOT NULL
     )
     SELECT lane, (SELECT min(next_at) FROM deliveries d WHERE d.state = 'waiting' AND d.lane = lanes.lane) AS next_at
     FROM lanes WHERE lane IS NOT NULL ORDER BY next_at`,
  )
  const due = db.prepare(
    `SELECT * FROM deliveries WHERE state = 'waiting' AND lane = ? AND next_at <= ? ORDER BY next_at LIMIT ?`,
  )
  const history = db.prepare(
    `SELECT * FROM deliveries WHERE kind = 'mail' AND target = ?1 AND created_at > ?3
     UNION SELECT * FROM deliveries WHERE kind = 'mail' AND sub = ?2 AND created_at > ?3
     ORDER BY created_at DESC LIMIT ${MAX_HISTORY}`,
  )
  function dueNow({ at, perLane, busy, limit }: Extract<DeliveryQuery, { kind: 'due-deliveries' }>) {
    const found: DueDelivery[] = []
    for (const { lane, next_at: nextAt } of lanes.all() as { lane: string; next_at: number }[]) {
      if (nextAt > at || found.length >= limit) break
      if (!busy.includes(lane)) found.push(...(due.all(lane, at, perLane) as Row[]).map(toDueDelivery))
    }
    return found.slice(0, limit)
  }

  return {
    askDeliveries(query: DeliveryQuery): DeliveryAnswers[DeliveryQuery['kind']] {
      switch (query.kind) {
        case 'notify-cursor':
          return readCursor()
        case 'deliveries':
          return (list.all(query.state ?? null, query.limit) as Row[]).map(toDelivery).reverse()
        case 'due-deliveries':
          return dueNow(query)
        case 'mail-history':
          return (history.all(query.target, query.sub, query.since) as Row[]).map(toDelivery)
      }
    },
  }
}

function toDueDelivery(row: Row): DueDelivery {
  const { lane, payload, give_up_at: giveUpAt } = row
  return { ...toDelivery(row), lane, payload, giveUpAt } as DueDelivery
}
