import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { basicOf, openFeed } from './feed-client.ts'
import { API_GUARD, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refresh, refreshed, signIn } from './sign-in.ts'
import { callTool } from './tool.ts'

/* Each kind of request has a budget of its own, so that a flood of one does not shut the others out. */

describe('a flood from one address', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority({ trustProxy: true })
  })
  after(() => authority.stop())

  const form = (path: string, address: string, body: Record<string, string>, authorization?: string) =>
    fetch(`${authority.issuer}${path}`, {
      method: 'POST',
      headers: { 'x-forwarded-for': address, ...(authorization ? { authorization } : {}) },
      body: new URLSearchParams(body),
    })
  const junk = { grant_type: 'refresh_token', client_id: 'app', refresh_token: 'nonsense' }
  /** Sends until one is refused for being too many; says how many were answered before. */
  async function flood(send: () => Promise<Response>): Promise<number> {
    for (let n = 0; n < 3_000; n += 20) {
      const answers = await Promise.all(Array.from({ length: 20 }, send))
      await Promise.all(answers.map((answer) => answer.arrayBuffer()))
      const limited = answers.filter(({ status }) => status === 429)
      for (const { headers } of limited) assert.ok(Number(headers.get('retry-after')) > 0)
      if (limited.length > 0) return n
    }
    throw new Error('it was never too much')
  }

  it('of bad refresh tokens ends in 429; elsewhere refreshing goes on, and here logging out', async () => {
    const tokens = await signIn(authority.issuer)
    assert.ok((await flood(() => form('/oauth/token', '192.0.2.1', junk))) >= 500)
    assert.equal((await form('/oauth/token', '192.0.2.2', junk)).status, 400)
    const next = await refreshed(authority.issuer, tokens.refresh_token)
    const pair = { accessToken: next.access_token, refreshToken: next.refresh_token }
    const revoked = await fetch(`${authority.issuer}/v1/revoke`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '192.0.2.1' },
      body: JSON.stringify(pair),
    })
    assert.equal(revoked.status, 200)
    assert.equal(await lives(authority.issuer, next.access_token), false)
  })

  it('of refused refreshes through the tools ends in RATE_LIMITED, not in a lie about the token', async () => {
    const tokens = await signIn(authority.issuer)
    const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    const headers = { 'x-forwarded-for': '192.0.2.9' }
    const ask = () =>
      callTool(authority.issuer, 'refresh_oauth_tokens', { refreshToken: pair.refreshToken }, headers)
    const codes = new Set<string>()
    // On a slow machine the budget fills up meanwhile.
    for (let round = 0; round < 20 && !codes.has('RATE_LIMITED'); round++) {
      await flood(() => form('/oauth/token', '192.0.2.9', junk))
      const answers = await Promise.all(Array.from({ length: 40 }, ask))
      for (const { content } of answers) codes.add(JSON.parse(content[0]?.text ?? '{}').code)
    }
    assert.ok(codes.delete('RATE_LIMITED'))
    codes.delete('TOKEN_REVOKED')
    assert.deepEqual([...codes], [])
  })

  it('of good requests is none', async () => {
    let { refresh_token } = await signIn(authority.issuer)
    for (let n = 0; n < 20; n++) ({ refresh_token } = await refreshed(authority.issuer, refresh_token))
    assert.equal((await refresh(authority.issuer, refresh_token)).status, 200)
  })

  it('of wrong secrets ends in 429; who has the right one is served all the same', async () => {
    const wrong = basicOf({ ...API_GUARD, clientSecret: 'the wrong secret, long enough' })
    const { access_token: token } = await signIn(authority.issuer)
    const ask = (secret: string) => form('/oauth/introspect', '192.0.2.3', { token }, secret)
    assert.ok((await flood(() => ask(wrong))) >= 40)
    const answer = await ask(basicOf(API_GUARD))
    assert.equal(((await answer.json()) as { active: boolean }).active, true)
    const headers = { 'x-forwarded-for': '192.0.2.3' }
    const feed = await openFeed(authority.issuer, API_GUARD, { headers })
    feed.socket.terminate()
    const stranger = { ...API_GUARD, clientSecret: 'the wrong secret, long enough' }
    await assert.rejects(openFeed(authority.issuer, stranger, { headers }), /refused: 429/)
  })

  it('of bad tokens at the revocation endpoints ends in 429; a genuine one is revoked all the same', async () => {
    const junkRevocation = () =>
      fetch(`${authority.issuer}/v1/revoke`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ accessToken: 'nonsense' }),
      })
    assert.ok((await flood(junkRevocation)) >= 40)
    const tokens = await signIn(authority.issuer)
    const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
    assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
  })
})
