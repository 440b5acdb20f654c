import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { createGuard, type Guard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { type FeedClient, openFeed } from './feed-client.ts'
import { API, API_GUARD, freePort, startTestAuthority, type TestAuthority } from './setup.ts'
import { signIn, type Tokens } from './sign-in.ts'

/* `Prefer: wait=N`: an answer that says which APIs refuse the tokens by now. */

type Names = { guard: string; resources: string[] }[]
type Receipt = {
  revoked: boolean
  ended: { seq: number }[]
  guards: { confirmed: Names; waiting: Names; more?: unknown }
}

describe('a revocation that waits for the guards', () => {
  let authority: TestAuthority
  let metricsPort: number
  const guards: Guard[] = []
  const mute: FeedClient[] = []
  before(async () => {
    metricsPort = await freePort()
    authority = await startTestAuthority({ metrics: { host: '127.0.0.1', port: metricsPort } })
  })
  after(() => authority.stop())
  afterEach(async () => {
    for (const guard of guards.splice(0)) guard.close()
    for (const { socket } of mute.splice(0)) socket.terminate()
    await until(() => authority.authority.feed.guards().length === 0)
  })

  async function startGuard() {
    const guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    guards.push(guard)
    await guard.ready()
    return guard
  }
  /** Connected, and never says that it has applied anything. */
  async function startMuteGuard() {
    const client = await openFeed(authority.issuer, API_GUARD)
    mute.push(client)
    return { client, id: (await client.next('ready')).guard }
  }
  async function revoke({ access_token, refresh_token }: Tokens, prefer?: string) {
    const response = await fetch(`${authority.issuer}/v1/revoke`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(prefer === undefined ? {} : { prefer }) },
      body: JSON.stringify({ accessToken: access_token, refreshToken: refresh_token }),
    })
    return {
      status: response.status,
      applied: response.headers.get('preference-applied'),
      body: await response.json(),
    }
  }

  it('answers once all of them refuse the tokens, and says who they are', async () => {
    const two = [await startGuard(), await startGuard()]
    const tokens = await signIn(authority.issuer)
    for (const guard of two) assert.ok(await guard.check(tokens.access_token))
    const { status, applied, body } = await revoke(tokens, 'wait=10')
    const refused = await Promise.allSettled(two.map((guard) => guard.check(tokens.access_token)))
    assert.deepEqual(
      refused.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    const { success, message, receipt } = body as { success: boolean; message: string; receipt: Receipt }
    assert.deepEqual([status, applied, success], [200, 'wait=10', true])
    assert.match(message, /You have been logged out/)
    assert.equal(receipt.ended.length, 1)
    assert.deepEqual(receipt.guards.waiting, [])
    assert.deepEqual(
      receipt.guards.confirmed.map(({ resources }) => resources),
      [[API], [API]],
    )
    assert.equal(new Set(receipt.guards.confirmed.map(({ guard }) => guard)).size, 2)
  })

  it('answers when the time is out, and says who has not confirmed', async () => {
    await startGuard()
    const { id } = await startMuteGuard()
    const started = performance.now()
    const { body } = await revoke(await signIn(authority.issuer), 'respond-async, wait=1')
    assert.ok(performance.now() - started >= 900)
    const { guards } = (body as { receipt: Receipt }).receipt
    assert.deepEqual(guards.waiting, [{ guard: id, resources: [API] }])
    assert.equal(guards.confirmed.length, 1)
  })

  it('names a few guards, and counts the others', async () => {
    for (let n = 0; n < 23; n++) await startMuteGuard()
    const { body } = await revoke(await signIn(authority.issuer), 'wait=1')
    const { guards } = (body as { receipt: Receipt }).receipt
    assert.deepEqual([guards.confirmed.length, guards.waiting.length], [0, 20])
    assert.deepEqual(guards.more, { confirmed: 0, waiting: 3 })
  })

  it('does not wait for a guard that goes away', async () => {
    const { client, id } = await startMuteGuard()
    const { seq } = await client.next('ready')
    const tokens = await signIn(authority.issuer)
    const started = performance.now()
    const answer = revoke(tokens, 'wait=10')
    await client.next('revocation', (one) => one.seq > seq)
    client.socket.terminate()
    const { guards } = ((await answer).body as { receipt: Receipt }).receipt
    assert.ok(performance.now() - started < 8_000)
    assert.ok(guards.waiting.some(({ guard }) => guard === id))
  })

  it('waits for nobody without the header, or with one that can’t be read', async () => {
    await startMuteGuard()
    for (const prefer of [undefined, 'wait=soon', 'return=minimal', 'wait=-1']) {
      const { body, applied } = await revoke(await signIn(authority.issuer), prefer)
      assert.deepEqual(Object.keys(body as object), ['success', 'message'], prefer ?? 'none')
      assert.equal(applied, null)
    }
  })

  it('keeps nobody for longer than ten seconds', async () => {
    const { applied } = await revoke(await signIn(authority.issuer), 'wait="86400"')
    assert.equal(applied, 'wait=10')
  })

  it('does the same at the OAuth endpoint', async () => {
    await startGuard()
    const tokens = await signIn(authority.issuer)
    const ask = (prefer: Record<string, string>, token = ''): Promise<Response> =>
      fetch(`${authority.issuer}/oauth/revoke`, {
        method: 'POST',
        headers: prefer,
        body: new URLSearchParams({ client_id: 'app', token }),
      })
    const response = await ask({ prefer: 'wait=10' }, tokens.logout_ticket)
    const receipt = (await response.json()) as Receipt
    assert.equal(receipt.guards.confirmed.length, 1)
    assert.equal(response.headers.get('preference-applied'), 'wait=10')
    // What was dead before is confirmed by whoever is asked; there is nobody to wait for.
    const again = (await (await ask({ prefer: 'wait=10' }, tokens.logout_ticket)).json()) as Receipt
    assert.deepEqual([again.revoked, again.guards], [true, { confirmed: [], waiting: [] }])
    const plain = await ask({}, (await signIn(authority.issuer)).logout_ticket)
    assert.ok(!('guards' in ((await plain.json()) as object)))
  })

  it('shows how long acknowledgements take, in the metrics', async () => {
    await startGuard()
    await revoke(await signIn(authority.issuer), 'wait=10')
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
    const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
    assert.ok(value('rescind_revocation_acknowledged_seconds_count') >= 1)
    assert.ok(value('rescind_guards') >= 1)
    assert.match(text, /rescind_revocations_total\{what="session",reason="user_logout"\} [1-9]/)
    assert.equal((await fetch(`http://127.0.0.1:${metricsPort}/`)).status, 404)
    assert.equal((await fetch(`${authority.issuer}/metrics`)).status, 404, 'not on the public port')
  })
})
