import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { until } from '../packages/guard/test/peer.ts'
import { type FeedClient, openFeed } from './feed-client.ts'
import { API, API_GUARD, startTestAuthority, type TestAuthority, tamper } from './setup.ts'
import { post, refreshed, signIn, type Tokens } from './sign-in.ts'

/* The feed as any guard in any language meets it: docs/feed.md over a plain WebSocket. */

const OTHER_API = 'https://other.example'
const OTHER_GUARD = { clientId: 'other-guard', clientSecret: 'the secret of the other guard' }

describe('the feed', () => {
  let authority: TestAuthority
  const open: FeedClient[] = []
  before(async () => {
    const scopes = { 'notes:read': 'Read your notes' }
    const resource = (name: string, client: typeof API_GUARD) => ({
      ...{ resource: name, name, scopes },
      ...{ client_id: client.clientId, client_secret: client.clientSecret },
    })
    authority = await startTestAuthority({
      resources: [resource(API, API_GUARD), resource(OTHER_API, OTHER_GUARD)],
    })
  })
  after(() => authority.stop())
  afterEach(() => {
    for (const { socket } of open.splice(0)) socket.terminate()
  })

  async function connect(...args: Parameters<typeof openFeed> extends [string, ...infer R] ? R : never) {
    const client = await openFeed(authority.issuer, ...args)
    open.push(client)
    return client
  }
  const revoke = async ({ access_token, refresh_token }: Tokens) => {
    const pair = { accessToken: access_token, refreshToken: refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
  }
  const sidOf = ({ access_token }: Tokens) => JSON.parse(atob(`${access_token.split('.')[1]}`)).sid as string

  it('is only for resource servers that authenticate', async () => {
    const wrong = { ...API_GUARD, clientSecret: 'the wrong secret, long enough' }
    const client = { clientId: 'backend', clientSecret: 'the secret of the backend' }
    await assert.rejects(connect(undefined), /refused: 401/)
    await assert.rejects(connect(wrong), /refused: 401/)
    await assert.rejects(connect(client), /refused: 403/)
    await assert.rejects(connect(API_GUARD, { headers: { origin: 'https://app.example' } }), /refused: 403/)
    await assert.rejects(connect(API_GUARD, { since: '-1' }), /refused: 400/)
    await assert.rejects(connect(API_GUARD, { since: '9'.repeat(16) }), /refused: 400/)
    await assert.rejects(connect(API_GUARD, { since: 1, tag: 'x'.repeat(33) }), /refused: 400/)
    await assert.rejects(connect(API_GUARD, { since: 1, tag: '%22' }), /refused: 400/)
    assert.equal((await fetch(`${authority.issuer}/feed`)).status, 426)
  })

  it('is at one address', async () => {
    const socket = openFeed(`${authority.issuer}/elsewhere`, API_GUARD)
    await assert.rejects(socket, /refused: 404/)
  })

  it('brings each revocation in order, each saying which one came before', async () => {
    const guard = await connect(API_GUARD)
    const ready = await guard.next('ready')
    const sessions = await Promise.all([1, 2, 3].map(() => signIn(authority.issuer)))
    for (const session of sessions) await revoke(session)
    const last = await guard.next('revocation', ({ sid }) => sid === sidOf(sessions[2] as Tokens))
    const mine = guard.messages.filter((one) => one.type === 'revocation')
    assert.deepEqual(
      mine.map(({ sid }) => sid),
      sessions.map(sidOf),
    )
    assert.deepEqual(
      mine.map(({ prev }) => prev),
      [ready.prev, ...mine.slice(0, -1).map(({ seq }) => seq)],
    )
    assert.equal(last.reason, 'user_logout')
    assert.ok(mine.every(({ tokens }) => tokens.length === 1))
  })

  it('names every token of a session that still lived', async () => {
    const guard = await connect(API_GUARD)
    const first = await signIn(authority.issuer)
    const second = await refreshed(authority.issuer, first.refresh_token)
    await revoke(second)
    const { tokens } = await guard.next('revocation', ({ sid }) => sid === sidOf(first))
    const places = [first, second].map(({ access_token }) => {
      const { uri, idx } = JSON.parse(atob(`${access_token.split('.')[1]}`)).status.status_list
      return Number(uri.split('/').at(-1)) * 131_072 + idx
    })
    assert.deepEqual(tokens.toSorted(), places.toSorted())
  })

  it('shows a guard only what is for its audience', async () => {
    const [mine, others] = [await connect(API_GUARD), await connect(OTHER_GUARD)]
    await Promise.all([mine.next('ready'), others.next('ready')])
    const forOther = await signIn(authority.issuer, { resource: OTHER_API, scope: 'notes:read' })
    const forMe = await signIn(authority.issuer)
    await revoke(forOther)
    await revoke(forMe)
    await mine.next('revocation', ({ sid }) => sid === sidOf(forMe))
    const { seq } = await others.next('revocation', ({ sid }) => sid === sidOf(forOther))
    await others.next('heartbeat', (beat) => beat.seq > seq && beat.prev === seq)
    assert.ok(!mine.messages.some((one) => one.type === 'revocation' && one.sid === sidOf(forOther)))
    assert.ok(!others.messages.some((one) => one.type === 'revocation' && one.sid === sidOf(forMe)))
  })

  it('says each second how far the log is', async () => {
    const guard = await connect(API_GUARD)
    const beat = await guard.next('heartbeat')
    assert.ok(Math.abs(beat.at - Date.now()) < 60_000)
    const session = await signIn(authority.issuer)
    await revoke(session)
    const { seq } = await guard.next('revocation', ({ sid }) => sid === sidOf(session))
    const next = await guard.next('heartbeat', (one) => one.seq >= seq)
    assert.equal(next.prev, seq)
  })

  it('goes on after what a guard has', async () => {
    const [one, two] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    await revoke(one)
    const before = await connect(API_GUARD)
    const { seq, tag } = await before.next('revocation', ({ sid }) => sid === sidOf(one))
    before.socket.terminate()
    await revoke(two)
    const guard = await connect(API_GUARD, { since: seq, tag })
    await guard.next('ready')
    const [missed] = guard.messages
    assert.deepEqual(missed?.type === 'revocation' && [missed.sid, missed.prev, missed.seq > seq], [
      sidOf(two),
      seq,
      true,
    ])
    assert.equal(guard.messages.filter(({ type }) => type === 'revocation').length, 1)
  })

  it('tells a guard to start anew when it has followed another log, restored or swapped', async () => {
    const { seq, tag } = await (await connect(API_GUARD)).next('ready')
    assert.ok(seq > 1 && tag)
    for (const place of [
      { since: seq, tag: 'another-log' },
      { since: seq },
      { since: seq - 1, tag },
      { since: seq + 1, tag },
      { since: 999_999, tag },
    ]) {
      const guard = await connect(API_GUARD, place)
      await guard.next('reload')
      assert.equal(guard.messages.length, 1, 'it is told of nothing else')
    }
  })

  it('counts for nothing what a guard only claims to have', async () => {
    const guard = await connect(API_GUARD, { since: 999_999, tag: 'x' })
    await guard.next('reload')
    const [known] = authority.authority.feed.guards()
    assert.deepEqual([known?.acknowledged, (known?.behind ?? 0) > 0], [0, true])
  })

  it('does not send what can no longer matter', async () => {
    const session = await signIn(authority.issuer)
    await revoke(session)
    authority.advance(3_700_000)
    const guard = await connect(API_GUARD)
    await guard.next('ready')
    assert.ok(!guard.messages.some((one) => one.type === 'revocation' && one.sid === sidOf(session)))
  })

  it('drops a guard that says anything else than what it has', async () => {
    for (const said of ['hello', '{"ack":-1}', '{"ack":999999999}', '{"ack":1,"more":2}']) {
      const guard = await connect(API_GUARD)
      guard.socket.send(said)
      assert.equal((await guard.closed).code, 1008, said)
    }
    const binary = await connect(API_GUARD)
    binary.socket.send(Buffer.from('{"ack":0}'))
    assert.equal((await binary.closed).code, 1008)
    const long = await connect(API_GUARD)
    long.socket.send('x'.repeat(17_000))
    assert.equal((await long.closed).code, 1009)
  })

  it('tells of a new signing key before tokens come with it, and of nothing else that another process changes', async () => {
    const guard = await connect(API_GUARD)
    const { kids } = await guard.next('ready')
    await tamper(authority, 'UPDATE accounts SET email = email')
    const changed = Date.now()
    await guard.next('heartbeat', ({ at }) => at > changed + 500)
    const { rotateSigningKey } = await import('../packages/authority/src/keys/ring.ts')
    const { openData } = await import('../packages/authority/src/open-data.ts')
    const { store, seal } = await openData(authority.config, { serving: false })
    const kid = await rotateSigningKey(store, seal, 'test', Date.now())
    await store.close()
    const keys = await guard.next('keys')
    assert.deepEqual(new Set(keys.kids), new Set([kid, ...kids]))
  })

  it('tells a guard to start anew when the log does not reach back', async () => {
    for (const session of [await signIn(authority.issuer), await signIn(authority.issuer)])
      await revoke(session)
    await tamper(authority, 'DELETE FROM revocations WHERE seq < (SELECT max(seq) FROM revocations)')
    const { seq, tag } = authority.authority.feed.head
    for (const since of [1, seq - 1]) await (await connect(API_GUARD, { since, tag })).next('reload')
    const near = await connect(API_GUARD, { since: seq, tag })
    await near.next('ready')
    assert.ok(!near.messages.some(({ type }) => type === 'reload'))
  })
})

describe('a guard that does not read', () => {
  it('is dropped, and the others wait for nothing', async () => {
    const authority = await startTestAuthority()
    const { feed } = authority.authority
    const [url = ''] = authority.urls
    const [slow, quick] = [await openFeed(url, API_GUARD), await openFeed(url, API_GUARD)]
    await Promise.all([slow.next('ready'), quick.next('ready')])
    slow.socket.pause()
    // Far more than what fits between the two of them: straight to the feed, because no store is that quick.
    const tokens = Array.from({ length: 9_000 }, (_, idx) => ({
      jti: `${idx}`,
      idx: 2 ** 20 + idx,
      exp: 2 ** 31,
    }))
    for (let seq = feed.head.seq + 1; feed.guards().length === 2 && seq < 2_000; seq++) {
      const whose = { sid: `fat-${seq}`, sub: 'somebody', clientId: 'app', actor: 'test', audiences: [API] }
      feed.publish({
        ...whose,
        what: 'session',
        at: Date.now(),
        reason: 'user_logout',
        seq,
        tag: `${seq}`,
        tokens,
      })
      quick.ack((await quick.next('revocation', (one) => one.seq === seq)).seq)
      quick.messages.length = 0
    }
    await until(() => feed.guards().length === 1)
    await until(() => feed.guards()[0]?.acknowledged === feed.head.seq)
    slow.socket.resume()
    await slow.closed
    const has = Math.max(...slow.messages.map((one) => ('seq' in one ? one.seq : 0)))
    assert.ok(has < feed.head.seq, 'it was sent everything')
    quick.socket.terminate()
    await authority.stop()
  })
})
