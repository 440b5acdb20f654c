import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { LOGGED_OUT, STILL_SIGNED_IN } from '../packages/authority/src/revoke.ts'
import { API_GUARD, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refresh, refreshed, signIn, type Tokens } from './sign-in.ts'
import { callTool } from './tool.ts'

/* Every cell of the contract of `revoke_oauth_tokens`, at each door, with what lives afterwards. */

type Access = 'live' | 'expired' | 'revoked' | 'not ours'
type Refresh = 'absent' | 'live' | 'used' | 'revoked' | 'not ours'
type Answer = { status: number; body: { success?: true; message?: string; error?: string; code?: string } }
type Door = (issuer: string, tokens: Record<string, unknown>) => Promise<Answer>

const v1: Door = async (issuer, tokens) => {
  const response = await post(`${issuer}/v1/revoke`, tokens)
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}
const tool: Door = async (issuer, tokens) => {
  const result = await callTool(issuer, 'revoke_oauth_tokens', tokens)
  return { status: result.isError ? 0 : 200, body: JSON.parse(`${result.content[0]?.text}`) }
}

const LOGOUT = { success: true, message: LOGGED_OUT }
const STAY = { success: true, message: STILL_SIGNED_IN }
const GONE = { error: 'Token has already been revoked', code: 'TOKEN_REVOKED' }
const BAD_ACCESS = { error: 'Invalid access token', code: 'INVALID_TOKEN' }
const BAD_REFRESH = { error: 'Invalid refresh token', code: 'INVALID_TOKEN' }

const TABLE: Record<Access, Record<Refresh, object>> = {
  live: { absent: STAY, live: LOGOUT, used: LOGOUT, revoked: LOGOUT, 'not ours': BAD_REFRESH },
  expired: { absent: STAY, live: LOGOUT, used: LOGOUT, revoked: LOGOUT, 'not ours': BAD_REFRESH },
  revoked: { absent: GONE, live: LOGOUT, used: GONE, revoked: GONE, 'not ours': BAD_REFRESH },
  'not ours': {
    absent: BAD_ACCESS,
    live: BAD_ACCESS,
    used: BAD_ACCESS,
    revoked: BAD_ACCESS,
    'not ours': BAD_ACCESS,
  },
}
const STATUS: Record<string, number> = { TOKEN_REVOKED: 410, INVALID_TOKEN: 400 }

function flipped(token: string): string {
  const at = token.length - 10
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
}

describe('the contract of revoke_oauth_tokens', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const session = (sid: string) => authority.authority.store.read({ kind: 'session', sid })
  const audited = async (sid: string) =>
    (
      await authority.authority.store.read({
        kind: 'audit',
        filter: { event: 'revocation', sid, limit: 100 },
      })
    ).length

  function revokeRefresh(token: string): Promise<Response> {
    return fetch(`${authority.issuer}/oauth/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ token, client_id: 'app' }),
    })
  }

  async function prepare(access: Access, refreshState: Refresh) {
    const { issuer } = authority
    const first = await signIn(issuer)
    const sid = JSON.parse(atob(`${first.access_token.split('.')[1]}`)).sid as string
    let newest: Tokens = first
    if (refreshState === 'used') newest = await refreshed(issuer, first.refresh_token)
    const accessToken = newest.access_token
    if (access === 'revoked') await v1(issuer, { accessToken })
    if (refreshState === 'revoked') await revokeRefresh(newest.refresh_token)
    if (access === 'expired') authority.advance(606_000)
    const refreshToken = refreshState === 'not ours' ? flipped(first.refresh_token) : first.refresh_token
    const tokens = {
      accessToken: access === 'not ours' ? flipped(accessToken) : accessToken,
      ...(refreshState === 'absent' ? {} : { refreshToken }),
    }
    return { tokens, sid, accessToken, newestRefresh: newest.refresh_token }
  }

  for (const [name, door] of Object.entries({ '/v1/revoke': v1, 'the tool': tool })) {
    for (const [access, row] of Object.entries(TABLE) as [Access, Record<Refresh, object>][]) {
      for (const [refreshState, expected] of Object.entries(row) as [Refresh, Answer['body']][]) {
        it(`${name}: access ${access}, refresh ${refreshState} → ${expected.code ?? expected.message}`, async () => {
          const { tokens, sid, accessToken, newestRefresh } = await prepare(access, refreshState)
          const beforeIt = { session: await session(sid), audited: await audited(sid) }
          // Where the refresh token's end had already taken the last live credential, the session is over.
          const over = beforeIt.session?.ended !== undefined
          const answer = await door(authority.issuer, tokens)
          const wanted = over && access !== 'not ours' && refreshState !== 'not ours' ? GONE : expected
          assert.deepEqual(answer.body, wanted)
          if (name === '/v1/revoke') assert.equal(answer.status, STATUS[answer.body.code ?? ''] ?? 200)

          if (answer.body.error) {
            assert.deepEqual(await session(sid), beforeIt.session, 'an error changed something')
            assert.equal(await audited(sid), beforeIt.audited)
            return
          }
          assert.equal(await lives(authority.issuer, accessToken), false)
          const ended = (await session(sid))?.ended !== undefined
          assert.equal(ended, answer.body.message === LOGGED_OUT)
          const again = await refresh(authority.issuer, newestRefresh)
          assert.equal(again.status === 200, answer.body.message === STILL_SIGNED_IN)
          assert.ok((await audited(sid)) - beforeIt.audited <= 1, 'more than one audit record')
        })
      }
    }
  }

  it('a session whose refreshing was stopped ends with its last access token', async () => {
    const { tokens, sid } = await prepare('live', 'revoked')
    const answer = await v1(authority.issuer, { accessToken: tokens.accessToken })
    assert.deepEqual(answer.body, LOGOUT)
    assert.equal((await session(sid))?.ended?.reason, 'user_logout')
  })

  it('tokens of two sessions: both are revoked and both end', async () => {
    const [a, b] = [await prepare('live', 'live'), await prepare('live', 'live')]
    const tokens = { accessToken: a.tokens.accessToken, refreshToken: b.tokens.refreshToken }
    assert.deepEqual((await tool(authority.issuer, tokens)).body, LOGOUT)
    for (const { sid, accessToken, newestRefresh } of [a, b]) {
      assert.ok((await session(sid))?.ended)
      assert.equal(await audited(sid), 1)
      assert.equal(await lives(authority.issuer, accessToken), false)
      assert.equal((await refresh(authority.issuer, newestRefresh)).status, 400)
    }
  })

  it('nothing else of the account is touched', async () => {
    const [mine, other] = [await prepare('live', 'live'), await prepare('live', 'live')]
    await v1(authority.issuer, mine.tokens)
    assert.equal(await lives(authority.issuer, other.accessToken), true)
    assert.equal((await refresh(authority.issuer, other.newestRefresh)).status, 200)
  })

  it('ten at once: one effective revocation, one audit record', async () => {
    const { tokens, sid } = await prepare('live', 'live')
    const answers = await Promise.all(Array.from({ length: 10 }, () => v1(authority.issuer, tokens)))
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(9).fill(410)])
    assert.equal(await audited(sid), 1)
  })

  it('introspection says {"active":false} and nothing more of what is dead', async () => {
    const { tokens, accessToken } = await prepare('live', 'live')
    const ask = async () => {
      const response = await fetch(`${authority.issuer}/oauth/introspect`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${btoa(`${API_GUARD.clientId}:${encodeURIComponent(API_GUARD.clientSecret)}`)}`,
        },
        body: new URLSearchParams({ token: accessToken }),
      })
      return response.json()
    }
    assert.equal(((await ask()) as { active: boolean }).active, true)
    await v1(authority.issuer, tokens)
    assert.deepEqual(await ask(), { active: false })
  })

  it('what was revoked is dead after a restart', async () => {
    const [pair, accessOnly, alive] = [
      await prepare('live', 'live'),
      await prepare('live', 'absent'),
      await prepare('live', 'live'),
    ]
    await v1(authority.issuer, pair.tokens)
    await v1(authority.issuer, accessOnly.tokens)
    await authority.restart()
    assert.equal(await lives(authority.issuer, pair.accessToken), false)
    assert.equal(await lives(authority.issuer, accessOnly.accessToken), false)
    assert.equal(await lives(authority.issuer, alive.accessToken), true)
    assert.deepEqual((await v1(authority.issuer, pair.tokens)).body, GONE)
  })
})
