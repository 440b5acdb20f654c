import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import type { JWK } from 'jose'
import type { Config } from '../packages/authority/src/config.ts'
import { CHAIN_START, link } from '../packages/authority/src/domain/audit.ts'
import { hashSecret, newSid, refreshToken } from '../packages/authority/src/domain/secret.ts'
import { outlivesAt } from '../packages/authority/src/domain/session.ts'
import { type KeyRing, openKeyRing } from '../packages/authority/src/keys/ring.ts'
import { accessTokenClaims, signAccessToken } from '../packages/authority/src/oauth/access-token.ts'
import { dataFile, openData } from '../packages/authority/src/open-data.ts'
import { type Loader, type Row, TABLES, type Table } from '../packages/authority/src/store/moving.ts'
import { openFileLoader } from '../packages/authority/src/store/sqlite/move.ts'
import { LIST_SIZE } from '../packages/guard/src/status.ts'
import { type Filled, type Opened, sessionOf } from './fill.ts'

/*
 * For benchmarks only: millions of live sessions in minutes, as rows, through what `rescind import` fills an empty store
 * with. The rows are those that opening a session writes: its own, with its one live access token, and its audit record in
 * the chain. Only the sessions that are handed out have secrets that somebody knows and a signed token; the hashes of all
 * others are random, which is what hashes look like to a store.
 */

const AT_ONCE = 2_000
/** Sessions were opened one after the other over so long, in ms: a store has them in the order of their ids. */
const OVER = 600_000
/** Blocks of status-list indexes that were begun are used up to here. */
const BLOCK = 4_096

export type RowAmounts = {
  sessions: number
  /** Of these, the ones that are handed out; they lie evenly among the others. */
  used: number
}

const tableOf = (name: string) => TABLES.find((one) => one.name === name) as Table

/** Fills an embedded store that is not there yet. */
export async function fillRows(
  config: Config,
  resource: string,
  amounts: RowAmounts,
  say: (what: string) => void,
): Promise<Filled> {
  const { ring, keys } = await makeKeys(config)
  const loader = openFileLoader(dataFile(config))
  try {
    await loader.put(tableOf('keys'), ['kid', 'use', 'sealed', 'created_at'], keys)
    const until = Date.now() + OVER + (config.policy.accessTokenTtl + 60) * 1000
    const issued = Math.ceil(amounts.sessions / BLOCK) * BLOCK
    const lists = Math.ceil(issued / LIST_SIZE)
    await loader.put(tableOf('counters'), ['name', 'value'], [['status-index', issued]])
    const numbers = Array.from({ length: lists }, (_, list): Row => [list, until])
    await loader.put(tableOf('status_lists'), ['list', 'until'], numbers)
    const live = await putSessions(loader, { config, ring, resource }, amounts, say)
    say(`filling the store: indexes of ${amounts.sessions} sessions`)
    await loader.commit()
    const { kty, crv, x } = ring.jwks[0] as JWK
    return { live, revoked: [], publicKey: { kty, crv, x } }
  } finally {
    await loader.close()
  }
}

/** The keys are made by the authority's own code, in a store that gives way to the one that is filled. */
async function makeKeys(config: Config): Promise<{ ring: KeyRing; keys: Row[] }> {
  const { store, seal } = await openData(config, { serving: true })
  const ring = await openKeyRing(store, seal, Date.now())
  const stored = await store.read({ kind: 'keys' })
  await store.close()
  for (const end of ['', '-wal', '-shm', '.lock']) rmSync(`${dataFile(config)}${end}`, { force: true })
  return { ring, keys: stored.map(({ kid, use, sealed, createdAt }) => [kid, use, sealed, createdAt]) }
}

type Parts = { config: Config; ring: KeyRing; resource: string }

async function putSessions(
  loader: Loader,
  parts: Parts,
  { sessions, used }: RowAmounts,
  say: (what: string) => void,
): Promise<Opened[]> {
  const { policy } = parts.config
  const end = Date.now()
  const every = Math.floor(sessions / used)
  const opened: Opened[] = []
  let head = CHAIN_START
  let [rows, audit]: [Row[], Row[]] = [[], []]
  for (let n = 0; n < sessions; n++) {
    const at = Math.floor(end - OVER + (n / sessions) * OVER)
    const known = n % every === 0 && opened.length < used
    const { session, tokens } = makeSession(parts, n, at, known)
    if (tokens) opened.push(tokens)
    const { sid, sub, clientId } = session
    rows.push([sid, sub, clientId, at, JSON.stringify(session), outlivesAt(session, policy)])
    const event = { event: 'session.opened' as const, at, actor: 'bench', sub, sid }
    const { n: place, hash, ...body } = link(head, event)
    head = { n: place, hash }
    audit.push([place, at, body.event, sub, sid, JSON.stringify(body), hash])
    if (rows.length < AT_ONCE && n < sessions - 1) continue
    await loader.put(tableOf('sessions'), ['sid', 'sub', 'client_id', 'opened_at', 'state', 'due_at'], rows)
    await loader.put(tableOf('audit'), ['n', 'at', 'event', 'sub', 'sid', 'body', 'hash'], audit)
    ;[rows, audit] = [[], []]
    if (n % 20_000 < AT_ONCE) say(`filling the store: ${n} of ${sessions} sessions`)
  }
  return opened
}

function makeSession({ config, ring, resource }: Parts, idx: number, at: number, known: boolean) {
  const random = randomBytes(140)
  const text = (from: number, to: number) => random.toString('base64url', from, to)
  const sid = newSid(at, random.subarray(0, 10))
  const iat = Math.floor(Date.now() / 1000)
  const token = { jti: text(10, 26), idx, exp: iat + config.policy.accessTokenTtl }
  const refresh = known ? refreshToken(sid, 1, random.subarray(26, 58), ring.secrets) : undefined
  const session = sessionOf(resource, {
    ...{ sid, sub: text(58, 70), openedAt: at, tokens: [token], ticketHash: text(70, 102) },
    refresh: { generation: 1, hash: refresh === undefined ? text(102, 134) : hashSecret(refresh) },
  })
  if (!known) return { session }
  const accessToken = signAccessToken(
    ring,
    accessTokenClaims(config.issuer, session, { ...token, iat, resource }),
  )
  return { session, tokens: { accessToken, refreshToken: refresh } }
}
