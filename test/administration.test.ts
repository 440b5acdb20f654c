import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { getListFromStatusListJWT, getStatusListFromJWT } from '@sd-jwt/jwt-status-list'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { createGuard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { createBrowser } from '../tools/browser.ts'
import { adminToken, audited, subOf } from './account.ts'
import { type GuardedApi, startGuardedApi } from './guarded-api.ts'
import { ask, sidOf } from './own.ts'
import { API, API_GUARD, CLIENTS, type PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import {
  authorizationRequest,
  authorize,
  exchange,
  lives,
  refresh,
  refreshed,
  signIn,
  type Tokens,
} from './sign-in.ts'

/* What administrators end: one session, a device, an account, a client, or all that was issued before a time. */

type Ended = { revoked: boolean; already?: true; ended: { what: string; seq: number; reason: string }[] }
type Counts = { sessions: number; accounts: number; clients: number }
type Page = { sessions: { sid: string; email?: string; endedAt?: string; reason?: string }[]; next?: string }
type Person = typeof PERSON

describe('what administrators end', () => {
  let authority: TestAuthority
  let api: GuardedApi
  before(async () => {
    const lonely = { ...(CLIENTS[0] as (typeof CLIENTS)[number]), client_id: 'lonely-app' }
    authority = await startTestAuthority({ clients: [...CLIENTS, lonely] })
    api = await startGuardedApi(authority.issuer)
  })
  after(async () => {
    await api.close()
    await authority.stop()
  })

  async function asAdmin(what: string, body?: unknown, headers: Record<string, string> = {}) {
    return ask(authority.issuer, { access_token: await adminToken(authority) }, what, body, headers)
  }
  async function end(body: Record<string, unknown>, headers: Record<string, string> = {}) {
    const order = { reason: 'a test of it', ...body }
    const { status, body: answer } = await asAdmin('POST /v1/admin/revocations', order, headers)
    assert.equal(status, 200, JSON.stringify(answer))
    return answer as Ended & Counts & { guards?: { confirmed: unknown[]; waiting: unknown[] } }
  }
  async function newPerson(): Promise<Person> {
    const person = { email: `${Math.random()}@example.com`, password: 'a password', name: 'P' }
    await addAccount(authority.authority.store, person, 'test', Date.now())
    return person
  }
  const head = () => authority.authority.store.read({ kind: 'head' })
  const deviceOf = async (tokens: Tokens) =>
    (await authority.authority.store.read({ kind: 'session', sid: sidOf(tokens) }))?.device

  async function isSet({ access_token: token }: Tokens): Promise<boolean> {
    const { idx, uri } = getStatusListFromJWT(token)
    return getListFromStatusListJWT(await (await fetch(uri)).text()).getStatus(idx) === 1
  }
  async function dead(tokens: Tokens, clientId = 'app') {
    assert.equal(await lives(authority.issuer, tokens.access_token), false, 'at the authority')
    assert.equal(await api.ask(tokens.access_token), 401, 'at the guard')
    assert.equal((await refresh(authority.issuer, tokens.refresh_token, clientId)).status, 400, 'refreshed')
  }
  async function alive(tokens: Tokens) {
    assert.equal(await lives(authority.issuer, tokens.access_token), true, 'at the authority')
    assert.equal(await api.ask(tokens.access_token), 200, 'at the guard')
  }

  /** What each order names, of the sessions: mine, mine on another device, and mine in another client. */
  const targets: Record<
    string,
    { of(mine: Tokens, person: Person): Promise<Record<string, unknown>>; ends: number[] }
  > = {
    session: { of: async (mine) => ({ session: sidOf(mine) }), ends: [0] },
    device: { of: async (mine) => ({ device: await deviceOf(mine) }), ends: [0, 2] },
    'account, by its sub': {
      of: async (_, { email }) => ({ account: await subOf(authority, email) }),
      ends: [0, 1, 2],
    },
    'account, by its e-mail': { of: async (_, { email }) => ({ account: email }), ends: [0, 1, 2] },
  }
  for (const [name, { of, ends }] of Object.entries(targets)) {
    it(`${name}: counted first, then ended everywhere, and nothing else`, async () => {
      const person = await newPerson()
      const browser = createBrowser()
      const stranger = await signIn(authority.issuer)
      const mine = await signIn(authority.issuer, { person, browser })
      const all = [
        mine,
        await signIn(authority.issuer, { person }),
        await signIn(authority.issuer, { person, browser, clientId: 'other-app' }),
      ]
      for (const one of [...all, stranger]) await alive(one)
      const open = await api.open(mine.access_token)
      const order = await of(mine, person)
      const before = await head()
      const counts = { sessions: ends.length, accounts: 1, clients: ends.includes(2) ? 2 : 1 }

      const { body: counted } = await asAdmin('POST /v1/admin/revocations', {
        ...{ ...order, reason: 'to see', dryRun: true },
      })
      assert.deepEqual(counted, { dryRun: true, ...counts })
      assert.deepEqual(await head(), before, 'counting changed something')
      for (const one of all) await alive(one)

      const { ended, sessions, accounts, clients, guards } = await end(
        { ...order, why: 'suspicious_activity' },
        { prefer: 'wait=5' },
      )
      assert.deepEqual({ sessions, accounts, clients }, counts)
      assert.equal(ended.length, ends.length)
      assert.deepEqual([guards?.confirmed.length, guards?.waiting.length], [1, 0])
      for (const [index, one] of all.entries()) {
        if (ends.includes(index)) await dead(one, index === 2 ? 'other-app' : 'app')
        else await alive(one)
      }
      await alive(stranger)
      assert.equal(await open.socket, '4401 suspicious_activity')
      assert.match(await open.stream, /session-ended/)
      await open.request
      const [record] = await audited(authority, 'revocation', await subOf(authority, person.email))
      assert.deepEqual([record?.actor, record?.detail], ['cli:test', 'session: a test of it'])
      const again = await end(order)
      assert.deepEqual([again.sessions, again.ended ?? []], [0, []])
    })
  }

  it('an account: its browsers are signed in no more', async () => {
    const person = await newPerson()
    const browser = createBrowser()
    const pending = await authorize(authority.issuer, { person, browser })
    await end({ account: person.email })
    assert.equal((await exchange(authority.issuer, pending)).status, 400, 'a code from before')
    const again = await browser.open(authorizationRequest(authority.issuer).url, /^https:\/\/app\.example\//)
    assert.match(again.html, /password/i)
  })

  it('a client: everybody’s sessions in it end with one record, and nobody’s elsewhere', async () => {
    const [ann, bo] = [await newPerson(), await newPerson()]
    const clientId = 'lonely-app'
    const theirs = [
      await signIn(authority.issuer, { person: ann, clientId }),
      await signIn(authority.issuer, { person: bo, clientId }),
    ]
    const elsewhere = await signIn(authority.issuer, { person: ann })
    const open = await api.open(`${theirs[0]?.access_token}`)
    for (const one of [...theirs, elsewhere]) await alive(one)
    const pending = await authorize(authority.issuer, { person: bo, clientId })
    const before = await head()
    const { body: counted } = await asAdmin('POST /v1/admin/revocations', {
      ...{ client: clientId, reason: 'to see', dryRun: true },
    })
    assert.deepEqual(counted, { dryRun: true, sessions: 2, accounts: 2, clients: 1 })
    assert.deepEqual(await head(), before)

    const { ended, sessions, guards } = await end({ client: clientId }, { prefer: 'wait=5' })
    assert.deepEqual([ended.map(({ what }) => what), sessions], [['cut_off'], 2])
    assert.equal(guards?.confirmed.length, 1)
    assert.deepEqual([(await head()).seq, (await head()).records], [before.seq + 1, before.records + 1])
    for (const one of theirs) await dead(one, clientId)
    await alive(elsewhere)
    assert.equal(await open.socket, '4401 admin_forced')
    assert.match(await open.stream, /session-ended/)
    await open.request
    const late = await exchange(authority.issuer, pending, clientId)
    assert.equal(late.status, 400, 'a code from before')
    const next = await signIn(authority.issuer, { person: ann, clientId })
    await alive(next)
    const { body } = await asAdmin(`GET /v1/admin/sessions?client=${clientId}`)
    const listed = new Map((body as Page).sessions.map((one) => [one.sid, one]))
    assert.equal(listed.get(sidOf(next))?.endedAt, undefined)
    for (const one of theirs) assert.equal(listed.get(sidOf(one))?.reason, 'admin_forced')
  })

  it('everything before a time: at a guard, a guard that starts, a reader of lists, an authority that restarts', async () => {
    const person = await newPerson()
    const [old, also] = [await signIn(authority.issuer), await signIn(authority.issuer, { person })]
    const open = await api.open(old.access_token)
    for (const one of [old, also]) await alive(one)
    await pause(5)
    const time = authority.authority.now()
    authority.advance(2_000)
    const kept = await signIn(authority.issuer)
    const again = await refreshed(authority.issuer, also.refresh_token)
    const { body: counted } = await asAdmin('POST /v1/admin/revocations', {
      ...{ issuedBefore: time, reason: 'to see', dryRun: true },
    })
    const { seq } = await head()
    const { ended, sessions } = await end(
      { issuedBefore: new Date(time).toISOString() },
      { prefer: 'wait=5' },
    )
    assert.deepEqual([ended.length, sessions], [1, (counted as Counts).sessions])
    assert.equal((await head()).seq, seq + 1)
    await dead(old)
    assert.equal(await open.socket, '4401 admin_forced')
    assert.match(await open.stream, /session-ended/)
    await open.request
    assert.equal(await lives(authority.issuer, also.access_token), false, 'a token from before')
    for (const one of [kept, again]) await alive(one)

    const older = await end({ issuedBefore: time - 60_000 })
    assert.deepEqual([older.already, older.sessions, (await head()).seq], [true, 0, seq + 1])
    const ofClient = await end({ issuedBefore: time - 1, client: 'app' })
    assert.deepEqual([ofClient.already, (await head()).seq], [true, seq + 1])

    const listed = async () => Promise.all([old, also, kept, again].map(isSet))
    authority.advance(1_000)
    await until(async () => (await listed())[0] === true)
    assert.deepEqual(await listed(), [true, true, false, false])
    for (const restarted of [false, true]) {
      if (restarted) await authority.restart()
      const late = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
      await late.ready()
      const accepted = await Promise.all(
        [old, also, kept, again].map(({ access_token }) =>
          late.check(access_token).then(
            () => true,
            () => false,
          ),
        ),
      )
      assert.deepEqual(accepted, [false, false, true, true], restarted ? 'after a restart' : 'a cold start')
      late.close()
    }
    assert.equal(await lives(authority.issuer, old.access_token), false)
    assert.equal((await refresh(authority.issuer, old.refresh_token)).status, 400)
    assert.equal(await lives(authority.issuer, kept.access_token), true)
    await until(async () => (await listed())[1] === true)
    assert.deepEqual(await listed(), [true, true, false, false], 'the lists after a restart')
  })

  it('within one second: what was issued in it before is dead, what is issued in it after is dated with the next', async () => {
    const untilNext = () => 1_000 - (authority.authority.now() % 1_000)
    const mine = await signIn(authority.issuer, { clientId: 'short-app' })
    // A sign-in, an order and another sign-in have to fit into the rest of the second.
    authority.advance(untilNext() + 5)
    const other = await signIn(authority.issuer, { clientId: 'app' })
    const at = authority.authority.now()
    await end({ issuedBefore: at, client: 'app' })
    const { iat } = JSON.parse(Buffer.from(`${other.access_token.split('.')[1]}`, 'base64url').toString())
    assert.ok(iat < Math.ceil(at / 1000))
    assert.equal(await lives(authority.issuer, other.access_token), false)
    const next = await signIn(authority.issuer, { clientId: 'app' })
    const later = JSON.parse(Buffer.from(`${next.access_token.split('.')[1]}`, 'base64url').toString())
    assert.ok(later.iat >= Math.ceil(at / 1000))
    assert.equal(await lives(authority.issuer, next.access_token), true)
    assert.equal(await lives(authority.issuer, mine.access_token), true, 'of another client')
  })

  it('wrong orders are refused with what to do, and change nothing', async () => {
    const before = await head()
    const now = authority.authority.now()
    const session = { session: sidOf(await signIn(authority.issuer)), reason: 'a test of it' }
    const cases: [Record<string, unknown>, RegExp][] = [
      [{}, /`reason` is missing/],
      [{ reason: 'a reason' }, /Name one of `session`, `device`, `account`, `client`, `issuedBefore`/],
      [{ ...session, reason: '  x  ' }, /`reason` must have at least 3 characters/],
      [{ ...session, reason: 'x'.repeat(501) }, /`reason` may have at most 500/],
      [{ ...session, device: 'x' }, /Name one of/],
      [{ ...session, issuedBefore: now }, /only `client` and `issuedBefore` go together/],
      [{ ...session, why: 'because' }, /`why` must be one of user_logout, /],
      [{ ...session, dryRun: 'yes' }, /`dryRun` must be a boolean/],
      [{ ...session, sid: 'x' }, /Unknown field: `sid`/],
      [{ ...session, session: '' }, /`session` must not be empty/],
      [{ reason: 'a reason', issuedBefore: now + 60_000 }, /lies in the future/],
      [{ reason: 'a reason', issuedBefore: new Date(now + 60_000).toISOString() }, /lies in the future/],
      [{ reason: 'a reason', issuedBefore: Math.floor(now / 1000) }, /milliseconds since 1970/],
      [{ reason: 'a reason', issuedBefore: 'yesterday' }, /a time such as 2026-/],
      [{ reason: 'a reason', issuedBefore: '2026-07-31' }, /a time such as 2026-/],
      [{ reason: 'a reason', issuedBefore: '2026-07-31T12:00:00' }, /a time such as 2026-/],
      [{ reason: 'a reason', issuedBefore: '2026-13-31T12:00:00Z' }, /a time such as 2026-/],
      [{ reason: 'a reason', issuedBefore: null }, /`issuedBefore` is not valid/],
    ]
    for (const [body, message] of cases) {
      const { status, body: answer } = await asAdmin('POST /v1/admin/revocations', body)
      assert.deepEqual([status, answer.code], [400, 'VALIDATION_ERROR'], JSON.stringify(body))
      assert.match(`${answer.error}`, message)
    }
    for (const target of [
      { session: 'x' },
      { device: 'x' },
      { account: 'x' },
      { account: 'x@y' },
      { client: 'x' },
    ]) {
      for (const dryRun of [true, false]) {
        const order = { ...target, reason: 'a reason', dryRun }
        const { status, body } = await asAdmin('POST /v1/admin/revocations', order)
        assert.deepEqual([status, body.code], [404, 'NOT_FOUND'], JSON.stringify(order))
      }
    }
    assert.equal((await head()).seq, before.seq)
  })

  it('lists sessions, by account and client, in pages', async () => {
    const person = await newPerson()
    const sub = await subOf(authority, person.email)
    const { openSession } = await import('./sessions.ts')
    const mine = await signIn(authority.issuer, { person, clientId: 'short-app' })
    for (let i = 0; i < 150; i++) await openSession(authority.authority)
    const own = (await asAdmin(`GET /v1/admin/sessions?sub=${sub}`)).body as Page
    assert.deepEqual(
      own.sessions.map(({ sid, email }) => [sid, email]),
      [[sidOf(mine), person.email]],
    )
    const seen: string[] = []
    for (let next: string | undefined = ''; next !== undefined; ) {
      const { status, body } = await asAdmin(`GET /v1/admin/sessions${next && `?cursor=${next}`}`)
      assert.equal(status, 200)
      const page = body as Page
      assert.ok(page.sessions.length <= 100)
      seen.push(...page.sessions.map(({ sid }) => sid))
      next = page.next
    }
    assert.ok(seen.length > 150)
    assert.equal(new Set(seen).size, seen.length, 'each once')
    assert.ok(seen.includes(sidOf(mine)))
    const both = (await asAdmin(`GET /v1/admin/sessions?sub=${sub}&client=other-app`)).body as Page
    assert.deepEqual(both.sessions, [])
    for (const query of ['clientId=app', 'cursor=x', 'cursor=0', 'sub=', 'sub=a&sub=b'])
      assert.equal((await asAdmin(`GET /v1/admin/sessions?${query}`)).status, 400, query)
  })

  it('deactivates, lets in again, and looks through the accounts that are marked', async () => {
    const person = await newPerson()
    const sub = await subOf(authority, person.email)
    const tokens = await signIn(authority.issuer, { person })
    const open = await api.open(tokens.access_token)
    const change = (what: string, body?: unknown) => asAdmin(`POST /v1/admin/accounts/${sub}/${what}`, body)
    assert.equal((await change('deactivate', {})).status, 400)
    assert.equal((await change('deactivate', { reason: 'left us' })).status, 200)
    assert.equal(await open.socket, '4401 admin_forced')
    await open.request
    await dead(tokens)
    await assert.rejects(signIn(authority.issuer, { person }), /did not return/)
    const back = await change('reactivate', { reason: 'came back' })
    assert.deepEqual([back.status, back.body.deactivatedAt], [200, undefined])
    await alive(await signIn(authority.issuer, { person }))
    await dead(tokens)

    assert.equal((await change('compromise', { reason: 'they called us' })).status, 200)
    const marked = async () => {
      const { body } = await asAdmin('GET /v1/admin/accounts?review=true')
      return (body as { accounts: { sub: string }[] }).accounts.map((one) => one.sub)
    }
    assert.deepEqual(await marked(), [sub])
    const done = await change('reviewed')
    assert.deepEqual([done.status, done.body.email], [200, person.email])
    assert.deepEqual(await marked(), [])
    const { text, body } = await asAdmin('GET /v1/admin/accounts')
    assert.ok((body as { accounts: unknown[] }).accounts.length > 1)
    assert.doesNotMatch(text, /argon2|password/)
    for (const what of ['compromise', 'deactivate', 'reactivate', 'reviewed']) {
      const path = `POST /v1/admin/accounts/nobody/${what}`
      assert.equal((await asAdmin(path, { reason: 'a reason' })).status, 404, what)
    }
    assert.equal((await asAdmin('GET /v1/admin/accounts?review=yes')).status, 400)
    assert.equal((await asAdmin(`GET /v1/admin/accounts/${sub}/deactivate`)).status, 405)
  })
})
