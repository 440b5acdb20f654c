import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { decodeJwt } from 'jose'
import { addAccount } from '../packages/authority/src/accounts.ts'
import type { Config } from '../packages/authority/src/config.ts'
import { type RunningAuthority, startAuthority } from '../packages/authority/src/main.ts'
import { openData } from '../packages/authority/src/open-data.ts'
import type { Store } from '../packages/authority/src/store/store.ts'
import { createGuard, type Guard } from '../packages/guard/src/index.ts'
import { LIST_SIZE } from '../packages/guard/src/status.ts'
import { until } from '../packages/guard/test/peer.ts'
import { type Browser, createBrowser } from '../tools/browser.ts'
import { allow, type Flow } from './mcp-agent.ts'
import { done, rescind } from './moved.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { type Receiver, startReceiver } from './receiver.ts'
import { DONE } from './relying-party.ts'
import { API, API_GUARD, CALLBACK, freePort, PERSON, startTestAuthority } from './setup.ts'
import { authorizationRequest, lives, post, refresh, refreshed, signIn, type Tokens } from './sign-in.ts'
import { callTool } from './tool.ts'

/* A store goes from SQLite to PostgreSQL and back, and nobody notices but who runs it. */

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const indexOf = (token: string) => {
  const { status_list: place } = decodeJwt(token).status as { status_list: { idx: number; uri: string } }
  return `${place.uri} ${place.idx}`
}
const dataOf = ({ structuredContent }: { structuredContent?: unknown }) => structuredContent

let server: Postgres
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

/** What people, apps and agents have in their hands when the authority stops. */
async function inHand(issuer: string) {
  const browser = createBrowser()
  const live = await signIn(issuer, { browser })
  const used = await signIn(issuer, { browser: createBrowser('Mozilla/5.0 (Macintosh) Firefox/140.0') })
  const next = await refreshed(issuer, used.refresh_token)
  const bobs = await signIn(issuer, { person: BOB })
  const ticket = await signIn(issuer)
  const [dead, half] = [await signIn(issuer), await signIn(issuer)]
  await post(`${issuer}/v1/revoke`, { accessToken: dead.access_token, refreshToken: dead.refresh_token })
  await post(`${issuer}/v1/revoke`, { accessToken: half.access_token })
  const flow = dataOf(await callTool(issuer, 'start_oauth_flow', {})) as Flow
  return {
    browser,
    live,
    used,
    next,
    bobs,
    ticket,
    dead,
    half,
    answer: await allow(flow),
    client: await register(issuer),
  }
}
type InHand = Awaited<ReturnType<typeof inHand>>

type Registered = { client_id: string; client_secret: string }

async function register(issuer: string): Promise<Registered> {
  const metadata = { redirect_uris: [CALLBACK], client_name: 'A new app' }
  const response = await post(`${issuer}/oauth/register`, metadata)
  assert.equal(response.status, 201)
  return (await response.json()) as Registered
}

async function isKnown(issuer: string, { client_id, client_secret }: Registered): Promise<boolean> {
  const headers = { authorization: `Basic ${btoa(`${client_id}:${client_secret}`)}` }
  const body = new URLSearchParams({ token: 'none' })
  return (await fetch(`${issuer}/oauth/revoke`, { method: 'POST', headers, body })).status !== 401
}

/** Whether a browser that signed in before gets in without a password. */
async function isSignedIn(issuer: string, browser: Browser): Promise<boolean> {
  return DONE.test((await browser.open(authorizationRequest(issuer).url, DONE)).url)
}

const passes = (guard: Guard, { access_token }: Tokens) =>
  guard.check(access_token).then(
    () => true,
    () => false,
  )

async function theSame(issuer: string, guards: Guard[], had: InHand) {
  const { live, used, next, bobs, ticket, dead, half } = had
  for (const tokens of [live, next, bobs, ticket]) {
    assert.equal(await lives(issuer, tokens.access_token), true)
    for (const guard of guards) assert.equal(await passes(guard, tokens), true)
  }
  for (const tokens of [dead, half]) {
    assert.equal(await lives(issuer, tokens.access_token), false)
    for (const guard of guards) assert.equal(await passes(guard, tokens), false)
  }
  assert.equal((await refresh(issuer, dead.refresh_token)).status, 400)
  const renewed = [await refreshed(issuer, live.refresh_token), await refreshed(issuer, bobs.refresh_token)]
  assert.equal((await refresh(issuer, half.refresh_token)).status, 200, 'its session is signed in still')
  assert.equal(await isSignedIn(issuer, had.browser), true)
  assert.equal(await isKnown(issuer, had.client), true)
  const { code, state } = had.answer
  const signed = dataOf(await callTool(issuer, 'handle_oauth_callback', { code, state })) as {
    accessToken: string
  }
  assert.equal(await lives(issuer, signed.accessToken), true, 'a sign-in that an agent had begun')
  const logout = new URLSearchParams({ client_id: 'app', token: ticket.logout_ticket })
  const receipt = await fetch(`${issuer}/oauth/revoke`, { method: 'POST', body: logout })
  assert.equal(((await receipt.json()) as { signedOut?: boolean }).signedOut, true)
  for (const guard of guards) await until(async () => !(await passes(guard, ticket)))
  assert.equal((await refresh(issuer, used.refresh_token)).status, 400)
  assert.equal(await lives(issuer, next.access_token), false, 'a used refresh token is still known as one')
  return [...renewed.map(({ access_token }) => access_token), signed.accessToken]
}

describe('a store that is moved', () => {
  let receiver: Receiver | undefined
  let running: RunningAuthority
  let config: Config
  let skew = 0
  let hookPort = 0
  const now = () => Date.now() + skew
  const folder = mkdtempSync(join(tmpdir(), 'rescind-moved-'))
  const indexes: string[] = []
  let guard: Guard
  before(async () => {
    hookPort = await freePort()
    const webhooks = [{ url: `http://127.0.0.1:${hookPort}/hook`, secret: SECRET, events: ['session.ended'] }]
    const first = await startTestAuthority({ webhooks } as never)
    config = first.config
    running = first
    await addAccount(first.authority.store, BOB, 'test', Date.now())
    guard = createGuard({ issuer: config.issuer, audience: API, credentials: API_GUARD, onStale: 'deny' })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await running.close()
    await receiver?.close()
    for (const data of [folder, config.data]) rmSync(data, { recursive: true, force: true })
  })

  const at = ({ store, data }: Config) => ['--data', data, ...(store === undefined ? [] : ['--store', store])]

  async function shown(store: Store) {
    const sub = `${(await store.read({ kind: 'account', email: PERSON.email }))?.sub}`
    const { sessions } = await store.read({ kind: 'list-sessions', limit: 1_000 })
    const ids = await store.read({ kind: 'deliveries', state: 'waiting', limit: 1_000 })
    return {
      sessions,
      head: await store.read({ kind: 'head' }),
      cursor: await store.read({ kind: 'notify-cursor' }),
      devices: await store.read({ kind: 'devices', sub }),
      waiting: ids.map(({ id }) => id),
    }
  }

  /** The next index among all tokens’. */
  async function reserve(): Promise<number> {
    const block = { size: 1, listSize: LIST_SIZE, at: now(), until: now() + 3_600_000 }
    return (await running.authority.store.transact({ kind: 'reserve-indexes', ...block })).first
  }

  /** All of it, as whoever runs the authority does it. */
  async function move(to: Partial<Config>) {
    const file = join(folder, `${randomUUID()}.jsonl`)
    assert.match((await rescind(['export', '--file', file, ...at(config)])).stderr, /running.*Stop it first/)
    await until(async () => (await shown(running.authority.store)).waiting.length > 0)
    const last = await reserve()
    await running.close()
    const { store } = await openData(config, { serving: false })
    const before = await shown(store)
    await store.close()
    const audit = await done(['audit', 'export', ...at(config)])
    assert.match(await done(['export', '--file', file, ...at(config)]), /^Exported 2 accounts, /)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    config = { ...config, store: undefined, ...to }
    await done(['import', file, ...at(config)])
    assert.match(await done(['audit', 'verify', ...at(config)]), /is whole/)
    assert.equal(await done(['audit', 'export', ...at(config)]), audit, 'byte for byte')
    running = await startAuthority(config, { now })
    assert.deepEqual(await shown(running.authority.store), before)
    assert.ok((await reserve()) > last, 'no index is given twice')
  }

  async function goesOn(had: InHand) {
    const { issuer } = config
    const { store } = running.authority
    const { seq } = await store.read({ kind: 'head' })
    await until(() => passes(guard, had.live))
    const fresh = createGuard({ issuer, audience: API, credentials: API_GUARD, onStale: 'deny' })
    await fresh.ready()
    skew += 60_000
    for (const token of await theSame(issuer, [guard, fresh], had)) indexes.push(indexOf(token))
    fresh.close()
    const log = await store.read({ kind: 'revocations', after: 0, limit: 1_000 })
    assert.ok(log.length > seq)
    assert.deepEqual(
      log.map((one) => one.seq),
      Array.from(log, (_, n) => n + 1),
      'no gap',
    )
    assert.match(await done(['audit', 'verify', ...at(config)]), /is whole/)
  }

  it('from SQLite to PostgreSQL logs nobody out, and what was dead stays dead', async () => {
    const had = await inHand(config.issuer)
    indexes.push(
      ...Object.values(had).flatMap((one) => ('access_token' in one ? indexOf(one.access_token) : [])),
    )
    await move({ store: await server.newDatabase() })
    await goesOn(had)
  })

  it('and so does the way back, into another data directory', async () => {
    const had = await inHand(config.issuer)
    indexes.push(
      ...Object.values(had).flatMap((one) => ('access_token' in one ? indexOf(one.access_token) : [])),
    )
    copyFileSync(join(config.data, 'master.key'), join(folder, 'master.key'))
    await move({ data: folder })
    await goesOn(had)
  })

  it('gives no token a place in a status list that another one has had', () => {
    assert.ok(indexes.length > 15)
    assert.equal(new Set(indexes).size, indexes.length)
  })

  it('sends what had waited, once there is somebody to take it', async () => {
    receiver = await startReceiver(hookPort)
    const ids = (await shown(running.authority.store)).waiting
    skew += 10 * 60_000
    await until(() =>
      ids.every((id) => receiver?.received.some(({ headers }) => headers['webhook-id'] === id)),
    )
  })
})
