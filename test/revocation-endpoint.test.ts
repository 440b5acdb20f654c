import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { blockStore, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refresh, refreshed, signIn, type Tokens } from './sign-in.ts'

/* RFC 7009, one token at a time, with receipts. */

type Receipt = {
  revoked?: boolean
  already?: boolean
  signedOut?: boolean
  status?: string
  error?: string
  ended?: { what: string; sid: string; seq: number; at: string; reason: string }[]
}

describe('POST /oauth/revoke', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  async function revoke(token: string, fields: Record<string, string> = { client_id: 'app' }, headers = {}) {
    const body = new URLSearchParams({ token, ...fields })
    const response = await fetch(`${authority.issuer}/oauth/revoke`, { method: 'POST', headers, body })
    return { status: response.status, headers: response.headers, receipt: (await response.json()) as Receipt }
  }
  const stillRefreshes = async ({ refresh_token }: Tokens) =>
    (await refresh(authority.issuer, refresh_token)).status === 200

  it('an access token: it alone dies, and the receipt says so', async () => {
    const tokens = await signIn(authority.issuer)
    const { status, receipt } = await revoke(tokens.access_token)
    assert.equal(status, 200)
    assert.equal(receipt.signedOut, false)
    assert.deepEqual(
      receipt.ended?.map(({ what, reason }) => [what, reason]),
      [['access_token', 'user_logout']],
    )
    assert.ok((receipt.ended?.[0]?.seq ?? 0) > 0)
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    assert.equal(await stillRefreshes(tokens), true)
  })

  it('a token from a process whose clock is ahead of the one that is asked: nobody is kept from logging out', async () => {
    const tokens = await signIn(authority.issuer)
    authority.advance(-120_000)
    const { access_token: accessToken, refresh_token: refreshToken } = tokens
    const alone = await revoke(accessToken)
    const pair = await post(`${authority.issuer}/v1/revoke`, { accessToken, refreshToken })
    authority.advance(120_000)
    assert.equal(alone.receipt.revoked, true)
    assert.equal(pair.status, 200)
    assert.equal(await stillRefreshes(tokens), false)
  })

  it('a refresh token: refreshing stops, the access token lives to its expiry', async () => {
    const tokens = await signIn(authority.issuer)
    const { receipt } = await revoke(tokens.refresh_token)
    assert.deepEqual(
      receipt.ended?.map(({ what }) => what),
      ['refresh_token'],
    )
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    assert.equal(await stillRefreshes(tokens), false)
    assert.deepEqual((await revoke(tokens.refresh_token)).receipt, { revoked: true, already: true })
  })

  it('a used refresh token stops refreshing too: its holder lost the answer with the next one', async () => {
    const tokens = await signIn(authority.issuer)
    const next = await refreshed(authority.issuer, tokens.refresh_token)
    assert.equal((await revoke(tokens.refresh_token)).receipt.revoked, true)
    assert.equal(await stillRefreshes(next), false)
  })

  it('a logout ticket: the session ends, once', async () => {
    const tokens = await signIn(authority.issuer)
    const { receipt } = await revoke(tokens.logout_ticket)
    assert.deepEqual([receipt.signedOut, receipt.ended?.[0]?.what], [true, 'session'])
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    assert.equal(await stillRefreshes(tokens), false)
    assert.deepEqual((await revoke(tokens.logout_ticket)).receipt, { revoked: true, already: true })
  })

  it('a wrong hint only widens the search', async () => {
    for (const [kind, hint] of [
      ['access_token', 'refresh_token'],
      ['refresh_token', 'access_token'],
      ['logout_ticket', 'unheard_of'],
    ] as const) {
      const tokens = await signIn(authority.issuer)
      const { receipt } = await revoke(tokens[kind], { client_id: 'app', token_type_hint: hint })
      assert.equal(receipt.revoked, true, kind)
      assert.equal(receipt.already, undefined, kind)
    }
  })

  it('an unknown token: 200, as the RFC has it, with a receipt that claims nothing', async () => {
    for (const token of ['nonsense', 'rt_nonsense', 'lt_nonsense', 'a.b.c', '\0', 'x'.repeat(20_000)]) {
      const { status, receipt } = await revoke(token)
      assert.deepEqual([status, receipt], [200, { revoked: false, status: 'unknown_token' }])
    }
  })

  it('another client’s token is refused, and lives', async () => {
    const tokens = await signIn(authority.issuer)
    for (const token of [tokens.access_token, tokens.refresh_token, tokens.logout_ticket]) {
      const { status, receipt } = await revoke(token, { client_id: 'other-app' })
      assert.deepEqual([status, receipt.error], [400, 'invalid_grant'])
    }
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    assert.equal(await stillRefreshes(tokens), true)
  })

  it('a client has to authenticate the way it registered', async () => {
    const tokens = await signIn(authority.issuer, { clientId: 'backend' })
    const secret = 'the secret of the backend'
    const basic = (password: string) => ({
      authorization: `Basic ${btoa(`backend:${encodeURIComponent(password)}`)}`,
    })
    for (const [fields, headers] of [
      [{}, {}],
      [{ client_id: 'backend' }, {}],
      [{ client_id: 'nobody' }, {}],
      [{ client_id: 'backend', client_secret: secret }, {}],
      [{}, basic('wrong')],
      [{ client_id: 'app' }, basic(secret)],
    ] as [Record<string, string>, Record<string, string>][]) {
      const answer = await revoke(tokens.access_token, fields, headers)
      assert.deepEqual([answer.status, answer.receipt.error], [401, 'invalid_client'])
      assert.match(answer.headers.get('www-authenticate') ?? '', /^Basic /)
    }
    assert.equal((await revoke(tokens.access_token, {}, basic(secret))).status, 200)
  })

  it('a token that is missing, or given twice, is a bad request', async () => {
    for (const body of ['client_id=app', 'token=&client_id=app', 'token=a&token=b&client_id=app']) {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const response = await fetch(`${authority.issuer}/oauth/revoke`, { method: 'POST', headers, body })
      assert.deepEqual(
        [response.status, ((await response.json()) as Receipt).error],
        [400, 'invalid_request'],
      )
    }
  })
})

describe('POST /oauth/revoke where the deployment wants the cascade', () => {
  it('a refresh token takes its session with it', async () => {
    const authority = await startTestAuthority()
    await authority.close()
    const cascading = await startTestAuthority({ policy: { ...authority.config.policy, cascade: 'session' } })
    const tokens = await signIn(cascading.issuer)
    const body = new URLSearchParams({ token: tokens.refresh_token, client_id: 'app' })
    const response = await fetch(`${cascading.issuer}/oauth/revoke`, { method: 'POST', body })
    assert.equal(((await response.json()) as Receipt).signedOut, true)
    assert.equal(await lives(cascading.issuer, tokens.access_token), false)
    await cascading.stop()
  })
})

describe('when a revocation can’t be made durable', () => {
  it('503 with Retry-After at every door, nothing changes, and it works again by itself', async () => {
    const authority = await startTestAuthority()
    const tokens = await signIn(authority.issuer)
    const unblock = await blockStore(authority)
    const pair = JSON.stringify({ accessToken: tokens.access_token, refreshToken: tokens.refresh_token })
    const json = { 'content-type': 'application/json' }
    const [v1, oauth] = await Promise.all([
      fetch(`${authority.issuer}/v1/revoke`, { method: 'POST', headers: json, body: pair }),
      fetch(`${authority.issuer}/oauth/revoke`, {
        method: 'POST',
        body: new URLSearchParams({ token: tokens.refresh_token, client_id: 'app' }),
      }),
    ])
    for (const response of [v1, oauth]) {
      assert.equal(response.status, 503)
      assert.ok(Number(response.headers.get('retry-after')) > 0)
    }
    assert.equal(((await v1.json()) as { code: string }).code, 'UNAVAILABLE')
    const refused = await refresh(authority.issuer, tokens.refresh_token)
    assert.equal(refused.status, 503)
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    await unblock()
    const again = await fetch(`${authority.issuer}/v1/revoke`, { method: 'POST', headers: json, body: pair })
    assert.equal(again.status, 200)
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    await authority.stop()
  })
})
