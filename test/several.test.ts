import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Config, readConfig } from '../packages/authority/src/config.ts'
import { dropSigningKey, rotateSigningKey } from '../packages/authority/src/keys/ring.ts'
import { startAuthority } from '../packages/authority/src/main.ts'
import { StoreUnavailable } from '../packages/authority/src/store/store.ts'
import { createGuard } from '../packages/guard/src/index.ts'
import { LIST_SIZE } from '../packages/guard/src/status.ts'
import { until } from '../packages/guard/test/peer.ts'
import { basicOf, type FeedClient, openFeed } from './feed-client.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { API, API_GUARD, CALLBACK, startTestAuthority, type TestAuthority, tamper } from './setup.ts'
import { authorize, lives, post, refresh, signIn, type Tokens, tokenRequest } from './sign-in.ts'

/* Two authorities on one database, each with all else of its own, and what people would notice if they did not agree. */

type Names = { guard: string }[]
type Guards = { confirmed: Names; waiting: Names; more?: { confirmed: number; waiting: number } }

describe('two authorities on one database', () => {
  let server: Postgres
  let authority: TestAuthority
  let one: string
  let other: string
  before(async () => {
    server = await startPostgres()
    authority = await startTestAuthority({ store: await server.newDatabase() })
    ;[one = '', other = ''] = authority.urls
  })
  after(async () => {
    await authority.stop()
    await server.stop()
  })

  const pairOf = ({ access_token, refresh_token }: Tokens) => ({
    ...{ accessToken: access_token, refreshToken: refresh_token },
  })
  async function revoke(at: string, tokens: Tokens, prefer: string): Promise<Guards> {
    const response = await fetch(`${at}/v1/revoke`, {
      ...{ method: 'POST', body: JSON.stringify(pairOf(tokens)) },
      headers: { 'content-type': 'application/json', prefer },
    })
    assert.equal(response.status, 200)
    return ((await response.json()) as { receipt: { guards: Guards } }).receipt.guards
  }
  const sidOf = ({ access_token }: Tokens) =>
    (JSON.parse(atob(`${access_token.split('.')[1]}`)) as { sid: string }).sid
  async function introspect(at: string, token: string): Promise<boolean> {
    const response = await fetch(`${at}/oauth/introspect`, {
      ...{ method: 'POST', body: new URLSearchParams({ token }) },
      headers: { authorization: basicOf(API_GUARD) },
    })
    return ((await response.json()) as { active: boolean }).active
  }

  it('call dead at once what the other has revoked: introspection, own endpoints, refresh', async () => {
    for (let round = 0; round < 25; round++) {
      const [here, there] = round % 2 ? [one, other] : [other, one]
      const tokens = await signIn(authority.issuer)
      assert.equal(await introspect(there, tokens.access_token), true)
      assert.equal((await post(`${here}/v1/revoke`, pairOf(tokens))).status, 200)
      const [active, alive, refreshed] = await Promise.all([
        introspect(there, tokens.access_token),
        lives(there, tokens.access_token),
        refresh(there, tokens.refresh_token),
      ])
      assert.deepEqual([active, alive, refreshed.status], [false, false, 400], `round ${round}`)
    }
  })

  it('believe nothing that a key signed which was dropped, from then on, even if one can’t read the keys at first', async () => {
    const { store, seal } = authority.authority
    const second = authority.others[0]?.store
    assert.ok(second)
    const { read } = second
    for (let round = 0; round < 8; round++) {
      const { access_token } = await signIn(authority.issuer)
      assert.deepEqual(
        [await introspect(other, access_token), await lives(other, access_token)],
        [true, true],
      )
      const { kid } = JSON.parse(atob(`${access_token.split('.')[0]}`)) as { kid: string }
      // No token comes with a key that nobody knows: the next one is known everywhere before the other goes.
      await rotateSigningKey(store, seal, 'test', Date.now())
      await until(() => authority.others[0]?.ring().signing.kid !== kid)
      let fails = round === 7
      second.read = ((query: { kind: 'keys' }) => {
        if (query.kind !== 'keys' || !fails) return read(query)
        fails = false
        return Promise.reject(new StoreUnavailable('for a moment'))
      }) as typeof read
      await dropSigningKey(store, seal, kid, 'test', Date.now())
      assert.deepEqual(
        [await introspect(other, access_token), await lives(other, access_token)],
        [false, false],
        `round ${round}`,
      )
      assert.equal(fails, false)
    }
    second.read = read
    assert.equal(await lives(other, (await signIn(authority.issuer)).access_token), true)
  })

  it('give one successor for one refresh token, whoever is asked', async () => {
    const tokens = await signIn(authority.issuer)
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => refresh(n % 2 ? one : other, tokens.refresh_token)),
    )
    const all = (await Promise.all(answers.map((answer) => answer.json()))) as Tokens[]
    assert.equal(new Set(all.map(({ refresh_token }) => refresh_token)).size, 1)
  })

  it('finish what the other has begun: a code is exchanged anywhere, and once', async () => {
    const { code, verifier } = await authorize(authority.issuer)
    const fields = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: CALLBACK }
    const both = await Promise.all([tokenRequest(one, fields), tokenRequest(other, fields)])
    assert.deepEqual(both.map(({ status }) => status).sort(), [200, 400])
  })

  it('count the guards of both, wherever a revocation is waited for', async () => {
    const feeds = [
      await openFeed(one, API_GUARD),
      await openFeed(other, API_GUARD),
      await openFeed(other, API_GUARD),
    ]
    const ids = await Promise.all(feeds.map(async (feed) => (await feed.next('ready')).guard))
    const [near, far, mute] = feeds
    assert.ok(near && far && mute)
    const tokens = await signIn(authority.issuer)
    const receipt = revoke(one, tokens, 'wait=2')
    const sid = sidOf(tokens)
    for (const feed of [near, far])
      feed.ack((await feed.next('revocation', (record) => 'sid' in record && record.sid === sid)).seq)
    const { confirmed, waiting } = await receipt
    assert.deepEqual(confirmed.map(({ guard }) => guard).sort(), ids.slice(0, 2).sort())
    assert.deepEqual(
      waiting.map(({ guard }) => guard),
      ids.slice(2),
    )
    for (const { socket } of feeds) socket.terminate()
    await until(() => authority.others[0]?.feed.guards().length === 0)
  })

  it('leave no gap to a guard that connects to one while the other revokes', async () => {
    const sessions: Tokens[] = []
    for (let n = 0; n < 24; n++) sessions.push(await signIn(authority.issuer))
    const sids = sessions.map(sidOf)
    let revoking = true
    const revoked = (async () => {
      for (const tokens of sessions) await post(`${one}/v1/revoke`, pairOf(tokens))
      revoking = false
    })()
    const feeds: FeedClient[] = []
    while (revoking && feeds.length < 100) {
      const feed = await openFeed(other, API_GUARD)
      feeds.push(feed)
      await feed.next('ready')
    }
    await revoked
    assert.ok(feeds.length > 3)
    for (const feed of feeds) {
      await feed.next('revocation', ({ sid }) => sid === sids.at(-1))
      let has = 0
      const seen = new Set<string>()
      for (const message of feed.messages) {
        if (!('prev' in message)) continue
        assert.ok(message.prev <= has, `${JSON.stringify(message)} after ${has}`)
        has = Math.max(has, message.seq)
        if (message.type === 'revocation') seen.add(message.sid)
      }
      for (const sid of sids) assert.ok(seen.has(sid), 'it was never told')
      feed.socket.terminate()
    }
  })

  it('know nothing by a name that no name can be, and are not unavailable', async () => {
    const tokens = await signIn(authority.issuer, { resource: `${authority.issuer}/mcp` })
    const response = await fetch(`${one}/mcp`, {
      method: 'POST',
      headers: {
        ...{ authorization: `Bearer ${tokens.access_token}`, 'content-type': 'application/json' },
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
        params: { name: 'revoke_oauth_session', arguments: { sid: 'a\0b' } },
      }),
    })
    assert.match(await response.text(), /NOT_FOUND/)
  })

  it('have one budget for strangers', async () => {
    let wrong = 0
    for (let n = 0; n < 200; n++) {
      const body = { accessToken: 'x.y.z', refreshToken: 'rt_nothing' }
      const { status } = await post(`${n % 2 ? one : other}/v1/revoke`, body)
      if (status === 429) break
      wrong++
    }
    assert.ok(wrong >= 60 && wrong < 90, `${wrong} before it was refused`)
    // What the last few were is on its way to the other one.
    for (const at of [one, other])
      await until(async () => (await post(`${at}/v1/revoke`, { accessToken: 'x.y.z' })).status === 429)
    const tokens = await signIn(authority.issuer)
    assert.equal((await post(`${other}/v1/revoke`, pairOf(tokens))).status, 200, 'logging out stays possible')
  })

  it('do not call a status list over whose last places the other has just begun to give out', async () => {
    const feed = await openFeed(other, API_GUARD)
    await feed.next('ready')
    // What is left of the first list is one block, and nobody has given out any place for hours.
    const left = LIST_SIZE - 4096
    await tamper(authority, `UPDATE counters SET value = ${left} WHERE name = 'status-index'`)
    authority.advance(2 * 3_600_000)
    const listOf = async (at: string) => {
      const { code, verifier } = await authorize(authority.issuer)
      const fields = { grant_type: 'authorization_code', code, code_verifier: verifier }
      const answer = await tokenRequest(at, { ...fields, redirect_uri: CALLBACK })
      const { access_token } = (await answer.json()) as Tokens
      return JSON.parse(atob(`${access_token.split('.')[1]}`))
        .status.status_list.uri.split('/')
        .at(-1)
    }
    assert.deepEqual([await listOf(one), await listOf(other)], ['0', '1'])
    const seen = feed.messages.length
    await until(() => feed.messages.slice(seen).some(({ type }) => type === 'heartbeat'))
    const beat = feed.messages.slice(seen).find((message) => message.type === 'heartbeat')
    assert.equal(beat?.firstList, 0, 'guards forget what is dead of a list that is over')
    feed.socket.terminate()
  })

  it('hand notices and timers over when the one that leads is gone', async () => {
    const [first, second] = [authority.authority, authority.others[0]]
    assert.ok(second)
    await until(() => first.store.leads() || second.store.leads())
    assert.notEqual(first.store.leads(), second.store.leads())
    const [leader, heir] = first.store.leads() ? [first, second] : [second, first]
    await leader.store.close()
    await until(() => heir.store.leads())
  })
})

describe('authorities that start together on an empty database', () => {
  it('have the same keys', async () => {
    const server = await startPostgres()
    const data = mkdtempSync(join(tmpdir(), 'rescind-several-'))
    for (let round = 0; round < 6; round++) {
      const store = await server.newDatabase()
      const config: Config = { ...readConfig({ data, store }, {}), port: 0, logLevel: 'error' }
      const all = await Promise.all([1, 2, 3].map(() => startAuthority(config)))
      const kids = all.map(({ authority }) =>
        authority
          .ring()
          .jwks.map(({ kid }) => kid)
          .sort(),
      )
      const heard = async () => {
        await Promise.all(all.map(({ authority }) => authority.store.caughtUp()))
        const now = all.map(
          ({ authority }) =>
            `${authority
              .ring()
              .jwks.map(({ kid }) => kid)
              .sort()}`,
        )
        return new Set(now).size === 1
      }
      await until(heard).catch(() => assert.fail(`they began with ${JSON.stringify(kids)}`))
      await Promise.all(all.map((one) => one.close()))
    }
    await server.stop()
    rmSync(data, { recursive: true })
  })
})

describe('an authority whose database is gone', () => {
  it('says so at once, keeps quiet towards guards, and all comes back by itself', async () => {
    const server = await startPostgres()
    const authority = await startTestAuthority({ store: await server.newDatabase() })
    const [url = ''] = authority.urls
    const tokens = await signIn(authority.issuer)
    const held = await signIn(authority.issuer)
    const guard = createGuard({
      issuer: authority.issuer,
      audience: API,
      credentials: API_GUARD,
      maxStaleness: 1_500,
    })
    await guard.ready()
    await guard.check(held.access_token)
    await server.kill()
    const began = performance.now()
    for (let n = 0; n < 20; n++) {
      const answer = await post(`${url}/v1/revoke`, {
        accessToken: tokens.access_token,
        refreshToken: tokens.refresh_token,
      })
      assert.deepEqual(
        [answer.status, ((await answer.json()) as { code: string }).code],
        [503, 'UNAVAILABLE'],
      )
    }
    assert.ok(performance.now() - began < 20_000)
    assert.equal((await fetch(`${url}/readyz`)).status, 503)
    assert.equal((await fetch(`${url}/healthz`)).status, 200)
    // It may have been revoked by somebody who can still reach the database, as far as a guard can know.
    await until(() =>
      guard.check(held.access_token).then(
        () => false,
        ({ code }) => code === 'UNAVAILABLE',
      ),
    )
    await server.start()
    await until(async () => (await fetch(`${url}/readyz`)).status === 200)
    assert.equal(await lives(authority.issuer, tokens.access_token), true, 'it said that nothing was done')
    await until(() =>
      guard.check(held.access_token).then(
        () => true,
        () => false,
      ),
    )
    assert.equal(
      (
        await post(`${url}/v1/revoke`, {
          accessToken: tokens.access_token,
          refreshToken: tokens.refresh_token,
        })
      ).status,
      200,
    )
    await until(() =>
      guard.check(tokens.access_token).then(
        () => false,
        ({ code }) => code === 'AUTHENTICATION_FAILED',
      ),
    )
    guard.close()
    await authority.stop()
    await server.stop()
  })
})
