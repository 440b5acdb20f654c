import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { createGuard, type Guard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { createBrowser } from '../tools/browser.ts'
import { ask, CHROME, devicesOf, IPHONE, sessionsOf, sidOf } from './own.ts'
import { API, API_GUARD, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, authorize, exchange, lives, refresh, signIn, type Tokens } from './sign-in.ts'

/* `/v1/sessions` and `/v1/devices`: what people see of what they are signed in to, and how they end it. */

const BOB = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
const CY = { email: 'cy@example.com', password: 'a password of Cy', name: 'Cy' }

describe('the sessions of an account', () => {
  let authority: TestAuthority
  let guard: Guard
  before(async () => {
    authority = await startTestAuthority()
    const { store } = authority.authority
    for (const person of [BOB, CY]) await addAccount(store, person, 'test', Date.now())
    guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await authority.stop()
  })

  const own = (tokens: Tokens) => sessionsOf(authority.issuer, tokens)
  const of = (tokens: Tokens | undefined, what: string, body?: unknown, headers?: Record<string, string>) =>
    ask(authority.issuer, tokens, what, body, headers)
  const alive = (tokens: Tokens) => lives(authority.issuer, tokens.access_token)
  /** Two clients in one browser, and a phone. */
  async function signInEverywhere(person = { email: 'ann@example.com', password: 'a password of Ann' }) {
    const [laptop, phone] = [createBrowser(CHROME), createBrowser(IPHONE)]
    return {
      here: await signIn(authority.issuer, { browser: laptop, person }),
      beside: await signIn(authority.issuer, { browser: laptop, person, clientId: 'other-app' }),
      phone: await signIn(authority.issuer, { browser: phone, person }),
      browsers: { laptop, phone },
    }
  }
  async function asksForPassword(browser: ReturnType<typeof createBrowser>) {
    const { url } = authorizationRequest(authority.issuer)
    return /name="password"/.test((await browser.open(url, /^https:\/\/app\.example\//)).html)
  }
  /** An open socket and a running request at an API, as its guard holds them. */
  async function openAt(tokens: Tokens) {
    // It learns with the next heartbeat that the clock was moved.
    await until(() => guard.check(tokens.access_token).catch(() => undefined))
    const session = await guard.check(tokens.access_token)
    const closed: string[] = []
    guard.connections.add(session, (reason) => closed.push(reason))
    return { closed, signal: session.signal }
  }

  it('are for whoever has a live token, and for nobody else', async () => {
    const tokens = await signIn(authority.issuer)
    await of(tokens, `DELETE /v1/sessions/${sidOf(tokens)}`)
    for (const what of [
      'GET /v1/sessions',
      'GET /v1/devices',
      'DELETE /v1/sessions/x',
      'DELETE /v1/devices/x',
    ]) {
      for (const who of [undefined, tokens]) {
        const { status, body, headers } = await of(who, what)
        assert.deepEqual([status, body.code], [401, 'AUTHENTICATION_FAILED'], what)
        assert.match(`${headers.get('www-authenticate')}`, /^Bearer error="invalid_token"/)
      }
    }
    assert.equal((await of(tokens, 'POST /v1/sessions')).status, 405)
    assert.equal((await of(tokens, 'GET /v1/sessions/revoke-all')).headers.get('allow'), 'POST')
    assert.equal((await of(tokens, 'DELETE /v1/sessions/a/b')).status, 404)
  })

  it('are listed with app, device, times and scope, the live ones first', async () => {
    const person = CY
    const { here, beside, phone } = await signInEverywhere(person)
    await of(here, `DELETE /v1/sessions/${sidOf(beside)}`)
    const sessions = await own(here)
    assert.deepEqual(
      sessions.map(({ sid, current, reason }) => [sid, current, reason]),
      [
        [sidOf(phone), false, undefined],
        [sidOf(here), true, undefined],
        [sidOf(beside), false, 'device_removed'],
      ],
    )
    const [first, second, last] = sessions
    assert.deepEqual(first?.client, { id: 'app', name: 'app' })
    assert.deepEqual([first?.device?.name, first?.device?.kind], ['Safari on iOS', 'mobile'])
    assert.deepEqual([second?.device?.name, second?.device?.kind], ['Chrome on macOS', 'desktop'])
    assert.equal(second?.device?.id, last?.device?.id, 'one browser, two apps')
    assert.deepEqual(
      [first?.address, first?.place, first?.scope],
      ['127.0.0.1', 'unknown', 'openid notes:read'],
    )
    for (const time of [first?.openedAt, first?.lastSeen, last?.endedAt])
      assert.ok(Math.abs(Date.parse(`${time}`) - Date.now()) < 60_000)
  })

  it('one is ended by its sid: its sockets close, its requests are aborted, and the others live on', async () => {
    const { here, beside, phone } = await signInEverywhere()
    const [theirs, mine] = [await openAt(phone), await openAt(here)]
    const { status, body } = await of(here, `DELETE /v1/sessions/${sidOf(phone)}`, undefined, {
      prefer: 'wait=5',
    })
    assert.equal(status, 200)
    const receipt = body as {
      revoked: true
      ended: Record<string, unknown>[]
      guards: { confirmed: unknown[] }
    }
    assert.deepEqual(
      [receipt.revoked, receipt.ended.length, receipt.ended[0]?.sid, receipt.ended[0]?.reason],
      [true, 1, sidOf(phone), 'device_removed'],
    )
    assert.equal(receipt.guards.confirmed.length, 1)
    assert.deepEqual([theirs.closed, theirs.signal.aborted], [['device_removed'], true])
    assert.deepEqual([mine.closed, mine.signal.aborted], [[], false])
    await assert.rejects(guard.check(phone.access_token), { code: 'AUTHENTICATION_FAILED' })
    assert.equal((await refresh(authority.issuer, phone.refresh_token)).status, 400)
    assert.deepEqual(await Promise.all([here, beside, phone].map(alive)), [true, true, false])
    const again = await of(here, `DELETE /v1/sessions/${sidOf(phone)}`)
    assert.deepEqual([again.status, again.body], [200, { revoked: true, already: true }])
  })

  it('one’s own is ended as a logout', async () => {
    const tokens = await signIn(authority.issuer)
    const { body } = await of(tokens, `DELETE /v1/sessions/${sidOf(tokens)}`)
    assert.equal((body.ended as { reason: string }[])[0]?.reason, 'user_logout')
    assert.equal(await alive(tokens), false)
  })

  it('all others are ended, in this browser too, and other browsers have to sign in again', async () => {
    const { here, beside, phone, browsers } = await signInEverywhere()
    const idle = createBrowser()
    const pending = await authorize(authority.issuer, { browser: idle })
    const open = await openAt(phone)
    const { status, body } = await of(here, 'POST /v1/sessions/revoke-others')
    assert.equal(status, 200)
    const sids = (body.ended as { sid: string }[]).map(({ sid }) => sid)
    assert.ok(sids.includes(sidOf(phone)) && sids.includes(sidOf(beside)) && !sids.includes(sidOf(here)))
    await until(() => open.closed.length > 0)
    assert.deepEqual(open.closed, ['device_removed'])
    assert.deepEqual(await Promise.all([here, beside, phone].map(alive)), [true, false, false])
    assert.equal((await exchange(authority.issuer, pending)).status, 400, 'a code that was under way')
    assert.equal(await asksForPassword(browsers.phone), true)
    assert.equal(await asksForPassword(idle), true, 'a browser without a session')
  })

  it('all are ended by whoever signed in a short while ago', async () => {
    const { here, beside, phone, browsers } = await signInEverywhere()
    const open = [await openAt(here), await openAt(phone)]
    authority.advance(301_000)
    const refused = await of(here, 'POST /v1/sessions/revoke-all')
    assert.deepEqual([refused.status, refused.body.code], [401, 'INSUFFICIENT_USER_AUTHENTICATION'])
    assert.equal(
      refused.headers.get('www-authenticate'),
      'Bearer error="insufficient_user_authentication", max_age="300"',
    )
    assert.deepEqual(await Promise.all([here, beside, phone].map(alive)), [true, true, true])
    const fresh = await signIn(authority.issuer)
    const { status } = await of(fresh, 'POST /v1/sessions/revoke-all')
    assert.equal(status, 200)
    await until(() => open.every(({ closed }) => closed.length > 0))
    assert.deepEqual(
      open.map(({ closed, signal }) => [...closed, signal.aborted]),
      [
        ['user_logout', true],
        ['user_logout', true],
      ],
    )
    assert.deepEqual(await Promise.all([here, beside, phone, fresh].map(alive)), [false, false, false, false])
    for (const browser of [browsers.laptop, browsers.phone])
      assert.equal(await asksForPassword(browser), true)
    assert.equal(await alive(await signIn(authority.issuer)), true, 'and then they sign in again')
  })

  it('a device takes its sessions with it, in every app', async () => {
    const { here, beside, phone, browsers } = await signInEverywhere()
    const open = [await openAt(here), await openAt(beside)]
    const laptop = (await devicesOf(authority.issuer, here)).find(({ current }) => current)
    assert.equal(laptop?.name, 'Chrome on macOS')
    assert.equal(laptop?.sessions, 2)
    const { body } = await of(phone, `DELETE /v1/devices/${laptop?.id}`)
    const ended = body.ended as { sid: string; reason: string }[]
    assert.deepEqual(ended.map(({ sid }) => sid).sort(), [sidOf(here), sidOf(beside)].sort())
    assert.deepEqual([...new Set(ended.map(({ reason }) => reason))], ['device_removed'])
    await until(() => open.every(({ closed }) => closed[0] === 'device_removed'))
    assert.deepEqual(await Promise.all([here, beside, phone].map(alive)), [false, false, true])
    assert.equal(await asksForPassword(browsers.laptop), true)
    const again = (await devicesOf(authority.issuer, phone)).find(({ id }) => id === laptop?.id)
    assert.equal(again?.sessions, 0)
  })

  it('somebody else’s answer exactly as unknown ones do, and are not touched', async () => {
    const [ann, bob] = [await signIn(authority.issuer), await signIn(authority.issuer, { person: BOB })]
    const device = (await own(bob)).find(({ current }) => current)?.device?.id ?? ''
    const unknown = 'A'.repeat(22)
    for (const [what, theirs] of [
      ['DELETE /v1/sessions/', sidOf(bob)],
      ['DELETE /v1/devices/', device],
      ['PATCH /v1/devices/', device],
    ] as const) {
      const body = what.startsWith('PATCH') ? { name: 'Mine' } : undefined
      const [foreign, none] = [await of(ann, what + theirs, body), await of(ann, what + unknown, body)]
      assert.equal(foreign.status, 404, what)
      assert.deepEqual([foreign.text, foreign.status], [none.text, none.status], what)
      const names = ({ headers }: typeof none) => [...headers.keys()].sort()
      assert.deepEqual(names(foreign), names(none))
    }
    assert.equal(await alive(bob), true)
    assert.equal(
      (await own(ann)).some(({ sid }) => sid === sidOf(bob)),
      false,
    )
    await of(ann, 'POST /v1/sessions/revoke-all')
    assert.equal(await alive(bob), true, 'nor by ending all of one’s own')
    const [first] = await devicesOf(authority.issuer, bob)
    assert.notEqual(first?.name, 'Mine')
  })

  it('two who end the same one at once: one of them did it, and it is on record once', async () => {
    const [here, there] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    const sid = sidOf(there)
    const answers = await Promise.all([1, 2].map(() => of(here, `DELETE /v1/sessions/${sid}`)))
    assert.deepEqual(answers.map(({ body }) => ['already' in body, body.revoked]).sort(), [
      [false, true],
      [true, true],
    ])
    const { store } = authority.authority
    const audit = await store.read({ kind: 'audit', filter: { event: 'revocation', sid, limit: 10 } })
    assert.equal(audit.length, 1)
  })

  it('what has ended is listed for thirty days', async () => {
    const there = await signIn(authority.issuer)
    await of(there, `DELETE /v1/sessions/${sidOf(there)}`)
    const listed = async () =>
      (await own(await signIn(authority.issuer))).some(({ sid }) => sid === sidOf(there))
    assert.equal(await listed(), true)
    authority.advance(29 * 86_400_000)
    assert.equal(await listed(), true)
    authority.advance(2 * 86_400_000)
    assert.equal(await listed(), false)
  })
})
