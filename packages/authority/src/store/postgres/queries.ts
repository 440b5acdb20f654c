import type { Pool } from 'pg'
import { type CutOff, endedBy, tokensCutOff } from '../../domain/cut-off.ts'
import type { Policy } from '../../domain/policy.ts'
import type { LoggedRevocation } from '../../domain/revocation.ts'
import type { Session } from '../../domain/session.ts'
import type { CutOffIndex } from '../cut-off-index.ts'
import { toAccount, toDevice, toSession } from '../rows.ts'
import { type Account, type AnswerOf, type LiveList, type Query, StoreUnavailable } from '../store.ts'
import { tagOf } from '../tag.ts'
import { auditQueries } from './audit.ts'
import { deliveryQueries } from './delivery-queries.ts'
import { type Rows, SESSION, type SessionRow, toKey, toRecord } from './rows.ts'

type Asked<K extends Query['kind']> = Extract<Query, { kind: K }>
type Answering = { [K in Query['kind']]: (query: Asked<K>) => Promise<AnswerOf<Asked<K>>> }

/**
 * Answers questions from what is committed.
 * @param cutOffs those that were made so far
 */
export function createQueries(pool: Pool, policy: Policy, cutOffs: () => Promise<CutOffIndex>) {
  // biome-ignore lint/suspicious/noExplicitAny: a row has whatever its statement asks for
  const rows = async (sql: string, values: unknown[] = []): Promise<any[]> =>
    (await pool.query(sql, values)).rows
  const answering: Answering = {
    ...recordAnswers(rows),
    ...sessionAnswers(rows, cutOffs),
    ...walkAnswers(rows, policy, cutOffs),
    ...accountAnswers(rows),
    ...logAnswers(rows),
    ...deliveryQueries(rows),
    ...auditAnswers(pool),
  }
  return async <Q extends Query>(query: Q): Promise<AnswerOf<Q>> => {
    try {
      return (await (answering[query.kind] as (query: Q) => Promise<unknown>)(query)) as AnswerOf<Q>
    } catch (error) {
      throw new StoreUnavailable((error as Error).message)
    }
  }
}

function recordAnswers(rows: Rows) {
  return {
    record: async ({ model, id }: Asked<'record'>) =>
      toRecord((await rows('SELECT * FROM records WHERE model = $1 AND id = $2', [model, id]))[0]),
    'record-by-uid': async ({ model, uid }: Asked<'record-by-uid'>) =>
      toRecord((await rows('SELECT * FROM records WHERE model = $1 AND uid = $2', [model, uid]))[0]),
    records: async ({ model }: Asked<'records'>) =>
      (await rows('SELECT * FROM records WHERE model = $1', [model])).map((row) => toRecord(row) as never),
  }
}

function sessionAnswers(rows: Rows, cutOffs: () => Promise<CutOffIndex>) {
  const select = `SELECT ${SESSION} FROM sessions`
  async function sessionsIn(found: SessionRow[]): Promise<Session[]> {
    const index = await cutOffs()
    return found.map((row) => toSession(row, index))
  }
  return {
    session: async ({ sid }: Asked<'session'>) =>
      (await sessionsIn(await rows(`${select} WHERE sid = $1`, [sid])))[0],
    'browser-sessions': async ({ browser, limit }: Asked<'browser-sessions'>) =>
      sessionsIn(await rows(`${select} WHERE browser = $1 ORDER BY pos DESC LIMIT $2`, [browser, limit])),
    async 'account-sessions'({ sub, endedSince, limit }: Asked<'account-sessions'>) {
      const open = await rows(`${select} WHERE sub = $1 AND ended_seq IS NULL ORDER BY pos DESC`, [sub])
      const live = (await sessionsIn(open)).filter(({ ended }) => !ended || ended.at > endedSince)
      const over = `${select} WHERE sub = $1 AND ended_seq IS NOT NULL AND ended_at > $2 ORDER BY ended_seq DESC LIMIT $3`
      return [...live, ...(await sessionsIn(await rows(over, [sub, endedSince, limit])))].slice(0, limit)
    },
    async sessions({ after, limit }: Asked<'sessions'>) {
      const found = await rows(`${select} WHERE pos > $1 ORDER BY pos LIMIT $2`, [after, limit])
      return { sessions: await sessionsIn(found), next: (found.at(-1)?.pos as number) ?? after }
    },
    async 'list-sessions'({ sub, clientId, before, limit }: Asked<'list-sessions'>) {
      const values: unknown[] = [before ?? Number.MAX_SAFE_INTEGER, limit]
      // An account has few sessions: those of one client among them are picked out here.
      const of = sub === undefined ? (clientId === undefined ? '' : 'AND client_id = $3') : 'AND sub = $3'
      if (of) values.push(sub ?? clientId)
      const found = await rows(`${select} WHERE pos < $1 ${of} ORDER BY pos DESC LIMIT $2`, values)
      const sessions = await sessionsIn(found)
      const last = found.length === limit ? found.at(-1) : undefined
      return {
        sessions: sessions.filter((one) => (clientId ?? one.clientId) === one.clientId),
        ...(last ? { next: last.pos as number } : {}),
      }
    },
  }
}

/** Walks over sessions in pages: what a cut-off kills stands in no row. */
function walkAnswers(rows: Rows, policy: Policy, cutOffs: () => Promise<CutOffIndex>) {
  function pageOf(clientId: string | undefined, after: number, limit: number) {
    const of = clientId === undefined ? '' : 'AND client_id = $3'
    const sql = `SELECT pos, state, ended_seq FROM sessions WHERE pos > $1 ${of} ORDER BY pos LIMIT $2`
    return rows(sql, clientId === undefined ? [after, limit] : [after, limit, clientId])
  }
  const liveIn = (found: { state: string; ended_seq: number | null }[]) =>
    found.filter((row) => row.ended_seq === null).map((row) => JSON.parse(row.state) as Session)
  return {
    async 'cut-off-tokens'({ clientId, after, at, limit }: Asked<'cut-off-tokens'>) {
      const index = await cutOffs()
      const found = await pageOf(clientId, after, limit)
      const tokens = liveIn(found).flatMap((session) =>
        tokensCutOff(session, index.of(session.clientId), policy, at),
      )
      const indexes = tokens.map(({ idx }) => idx).filter((idx) => idx >= 0)
      return { indexes, next: (found.at(-1)?.pos as number) ?? after }
    },
    async 'cut-off-sessions'({ cutOff, after, limit }: Asked<'cut-off-sessions'>) {
      const index = await cutOffs()
      const { clientId, seq } = cutOff
      const found = await pageOf(clientId, after, limit)
      const last: CutOff = { ...cutOff, at: 0, reason: 'admin_forced' }
      const ended = liveIn(found).filter((session) => {
        const first = index.of(session.clientId).filter((one) => one.seq < seq)
        return endedBy(session, [...first, last])?.seq === seq
      })
      const subs = [...new Set(ended.map(({ sub }) => sub))]
      const clientIds = [...new Set(ended.map((one) => one.clientId))]
      return { sessions: ended.length, subs, clientIds, next: (found.at(-1)?.pos as number) ?? after }
    },
  }
}

function accountAnswers(rows: Rows) {
  return {
    account: async ({ email }: Asked<'account'>) =>
      toAccount((await rows('SELECT * FROM accounts WHERE lower(email) = lower($1)', [email]))[0]),
    'account-by-sub': async ({ sub }: Asked<'account-by-sub'>) =>
      toAccount((await rows('SELECT * FROM accounts WHERE sub = $1', [sub]))[0]),
    async accounts({ review, after, limit }: Asked<'accounts'>) {
      const marked = review ? 'AND review_since IS NOT NULL' : ''
      const sql = `SELECT * FROM accounts WHERE pos > $1 ${marked} ORDER BY pos LIMIT $2`
      const found = await rows(sql, [after, limit])
      const last = found.length === limit ? (found.at(-1)?.pos as number) : undefined
      const accounts = found.map((row) => toAccount(row) as Account)
      return { accounts, ...(last === undefined ? {} : { next: last }) }
    },
    devices: async ({ sub }: Asked<'devices'>) =>
      (await rows('SELECT * FROM devices WHERE sub = $1 ORDER BY last_seen DESC', [sub])).map(toDevice),
    async device({ id }: Asked<'device'>) {
      const [row] = await rows('SELECT * FROM devices WHERE id = $1', [id])
      return row && toDevice(row)
    },
    keys: async () => (await rows('SELECT * FROM keys ORDER BY created_at, kid')).map(toKey),
    'status-lists': async ({ at }: Asked<'status-lists'>) =>
      (await rows('SELECT list, until FROM status_lists WHERE until > $1 ORDER BY list', [at])) as LiveList[],
  }
}

function logAnswers(rows: Rows) {
  return {
    revocations: ({ after, since = 0, limit }: Asked<'revocations'>) => readLog(rows, after, since, limit),
    async head() {
      const sql = `SELECT seq, tag, audit_n AS records, coalesce((SELECT min(seq) FROM revocations), 0) AS first FROM heads`
      const [{ seq, tag, records, first }] = (await rows(sql)) as [never]
      return { first, seq, tag, records }
    },
    async tag({ seq }: Asked<'tag'>) {
      const [row] = await rows('SELECT body FROM revocations WHERE seq = $1', [seq])
      return row && tagOf(row.body)
    },
  }
}

/** The log after `after`, the oldest first. */
export async function readLog(
  rows: Rows,
  after: number,
  since: number,
  limit: number,
): Promise<LoggedRevocation[]> {
  const sql = 'SELECT body FROM revocations WHERE seq > $1 AND at >= $2 ORDER BY seq LIMIT $3'
  const found = await rows(sql, [after, since, limit])
  return found.map(({ body }) => ({ ...JSON.parse(body), tag: tagOf(body) }) as LoggedRevocation)
}

function auditAnswers(pool: Pool) {
  const { audit, page, anchor } = auditQueries(pool)
  return {
    audit: ({ filter }: Asked<'audit'>) => audit(filter),
    'audit-page': (query: Asked<'audit-page'>) => page(query),
    'audit-anchor': () => anchor(),
  }
}
