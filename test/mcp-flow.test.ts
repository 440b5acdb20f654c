import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createBrowser } from '../tools/browser.ts'
import {
  type Agent,
  allow,
  answerOf,
  type Flow,
  OVER_HTTP,
  refusalOf,
  type Signed,
  signInWith,
} from './mcp-agent.ts'
import { API, blockStore, CALLBACK, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, signIn } from './sign-in.ts'

/* Signing in, refreshing and logging out through the tools: every turn that it can take. */

const DAY = 24 * 3_600_000

async function connect(authority: TestAuthority): Promise<Agent> {
  const agent = await OVER_HTTP['2026-07-28']?.(authority.issuer)
  assert.ok(agent)
  return agent
}

describe('a sign-in through the tools', () => {
  let authority: TestAuthority
  let agent: Agent
  before(async () => {
    authority = await startTestAuthority()
    agent = await connect(authority)
  })
  after(async () => {
    await agent.close()
    await authority.stop()
  })

  const start = async (args: Record<string, unknown> = {}) =>
    answerOf<Flow>(await agent.call('start_oauth_flow', args))
  const codeOf = async (name: string, args: Record<string, unknown>) =>
    refusalOf(await agent.call(name, args)).code

  it('begins with an address that has everything, and gives the verifier to nobody', async () => {
    const flow = answerOf<Flow & { instructions: string; success: boolean }>(
      await agent.call('start_oauth_flow', {}),
    )
    assert.deepEqual(Object.keys(flow).sort(), ['authUrl', 'expiresIn', 'instructions', 'state', 'success'])
    const { origin, pathname, searchParams } = new URL(flow.authUrl)
    assert.equal(origin + pathname, `${authority.issuer}/oauth/authorize`)
    assert.deepEqual(
      ['client_id', 'response_type', 'redirect_uri', 'resource', 'state', 'code_challenge_method'].map(
        (name) => searchParams.get(name),
      ),
      [
        'rescind-agent',
        'code',
        `${authority.issuer}/oauth/code`,
        `${authority.issuer}/mcp`,
        flow.state,
        'S256',
      ],
    )
    assert.match(flow.state, /^[\w-]{43}$/)
    assert.equal(searchParams.has('code_verifier'), false)
  })

  it('asks the person, and shows on the last page what the agent needs', async () => {
    const flow = await start()
    const browser = createBrowser()
    const consent = await browser.submit(await browser.open(flow.authUrl), /\/login$/, PERSON)
    assert.match(consent.html, /action="\/interaction\/[^"]+\/consent"/, 'an agent is never let in unasked')
    const last = await browser.submit(consent, /\/consent$/, {})
    const { searchParams, pathname } = new URL(last.url)
    assert.equal(pathname, '/oauth/code')
    const [code, state] = [`${searchParams.get('code')}`, `${searchParams.get('state')}`]
    assert.ok(last.html.includes(code) && last.html.includes(state))
    const signed = answerOf<Signed>(await agent.call('handle_oauth_callback', { code, state }))
    assert.equal(await lives(authority.issuer, signed.accessToken), true)
  })

  it('that the person refuses is ACCESS_DENIED, whichever way the agent hears of it', async () => {
    const flow = await start()
    const browser = createBrowser()
    const consent = await browser.submit(await browser.open(flow.authUrl), /\/login$/, PERSON)
    const last = await browser.submit(consent, /\/cancel$/, {})
    const { searchParams } = new URL(last.url)
    assert.equal(searchParams.get('error'), 'access_denied')
    assert.match(last.html, /You did not allow it/)
    const answer = { code: `${searchParams.get('error')}`, state: flow.state }
    assert.equal(await codeOf('handle_oauth_callback', answer), 'ACCESS_DENIED')
    assert.equal(await codeOf('handle_oauth_callback', answer), 'INVALID_STATE', 'that was its one use')
  })

  it('an answer of somebody else (iss) is refused and uses up nothing', async () => {
    const answer = await allow(await start())
    const foreign = { ...answer, iss: 'https://evil.example' }
    assert.equal(await codeOf('handle_oauth_callback', foreign), 'INVALID_STATE')
    assert.equal(await codeOf('handle_oauth_callback', { ...answer, iss: `${answer.iss}/` }), 'INVALID_STATE')
    assert.equal(
      answerOf<Signed>(await agent.call('handle_oauth_callback', answer)).session.sid.length > 0,
      true,
    )
  })

  it('a state works once, also for two at the same time, and a second use harms nobody', async () => {
    const answer = await allow(await start())
    const results = await Promise.all([1, 2, 3].map(() => agent.call('handle_oauth_callback', answer)))
    const won = results.filter(({ isError }) => !isError)
    assert.equal(won.length, 1)
    for (const lost of results.filter(({ isError }) => isError)) {
      assert.equal(refusalOf(lost).code, 'INVALID_STATE')
    }
    assert.equal(await codeOf('handle_oauth_callback', answer), 'INVALID_STATE')
    const [signed] = won.map((result) => answerOf<Signed>(result))
    assert.equal(await lives(authority.issuer, `${signed?.accessToken}`), true)
  })

  it('the code of one flow is worth nothing in another', async () => {
    const [mine, theirs] = [await allow(await start()), await allow(await start())]
    const mixed = { code: theirs.code, state: mine.state }
    assert.equal(await codeOf('handle_oauth_callback', mixed), 'INVALID_GRANT')
    assert.equal(answerOf(await agent.call('handle_oauth_callback', theirs)).success, true)
  })

  it('takes a client, a redirect URI, a scope and a resource; only ones that are registered', async () => {
    const own = { clientId: 'app', redirectUri: CALLBACK, resource: API, scope: 'notes:read' }
    const signed = await signInWith(agent, own)
    const session = await fetch(`${authority.issuer}/v1/session`, {
      headers: { authorization: `Bearer ${signed.accessToken}` },
    })
    const { clientId, scope } = (await session.json()) as { clientId: string; scope: string[] }
    assert.deepEqual([clientId, scope], ['app', ['notes:read']])
    for (const [field, value] of [
      ['clientId', 'nobody'],
      ['clientId', 'backend'],
      ['clientId', 'api-guard'],
      ['redirectUri', `${CALLBACK}/more`],
      ['resource', `${API}/more`],
    ] as const) {
      const { code, error } = refusalOf(await agent.call('start_oauth_flow', { ...own, [field]: value }))
      assert.equal(code, 'VALIDATION_ERROR')
      assert.match(error, new RegExp(`\`${field}\``))
    }
  })

  it('a client that may not refresh gets no refresh token, and logs out all the same', async () => {
    const signed = await signInWith(agent, { clientId: 'short-app', resource: API })
    assert.equal('refreshToken' in signed, false)
    const { accessToken } = signed
    const { message } = answerOf(await agent.call('revoke_oauth_tokens', { accessToken }))
    assert.equal(message, 'OAuth tokens revoked successfully. You have been logged out.')
    assert.equal(await lives(authority.issuer, accessToken), false)
  })

  it('a refresh token that comes back after its successor was used ends the session', async () => {
    const signed = await signInWith(agent)
    const refresh = async (refreshToken: string) =>
      answerOf<Signed>(await agent.call('refresh_oauth_tokens', { refreshToken }))
    const second = await refresh(signed.refreshToken)
    assert.equal((await refresh(signed.refreshToken)).refreshToken, second.refreshToken, 'a lost answer')
    const third = await refresh(second.refreshToken)
    assert.equal(await codeOf('refresh_oauth_tokens', { refreshToken: signed.refreshToken }), 'TOKEN_REVOKED')
    for (const { accessToken } of [signed, second, third]) {
      assert.equal(await lives(authority.issuer, accessToken), false)
    }
    const newest = { refreshToken: third.refreshToken }
    assert.equal(await codeOf('refresh_oauth_tokens', newest), 'TOKEN_REVOKED')
  })

  it('a client with a secret does not refresh here', async () => {
    const { refresh_token } = await signIn(authority.issuer, { clientId: 'backend' })
    assert.equal(await codeOf('refresh_oauth_tokens', { refreshToken: refresh_token }), 'INVALID_GRANT')
    for (const refreshToken of ['nonsense', refresh_token.slice(0, -1), `${refresh_token}A`]) {
      assert.equal(await codeOf('refresh_oauth_tokens', { refreshToken }), 'INVALID_GRANT')
    }
  })

  it('revoking answers two fields and no more, in both cases', async () => {
    const signed = await signInWith(agent)
    const alone = await agent.call('revoke_oauth_tokens', { accessToken: signed.accessToken })
    assert.deepEqual(answerOf(alone), {
      success: true,
      message:
        'Access token revoked successfully. The session is still signed in: its refresh token can get a new ' +
        'access token. Send the refresh token too to log out.',
    })
    const { refreshToken } = signed
    const next = answerOf<Signed>(await agent.call('refresh_oauth_tokens', { refreshToken }))
    const pair = { accessToken: next.accessToken, refreshToken: next.refreshToken }
    assert.deepEqual(answerOf(await agent.call('revoke_oauth_tokens', pair)), {
      success: true,
      message: 'OAuth tokens revoked successfully. You have been logged out.',
    })
    assert.deepEqual(refusalOf(await agent.call('revoke_oauth_tokens', pair)), {
      error: 'Token has already been revoked',
      code: 'TOKEN_REVOKED',
    })
    const { revoked, message } = answerOf<{ revoked: boolean; message: string }>(
      await agent.call('verify_oauth_revocation', { accessToken: next.accessToken }),
    )
    assert.equal(revoked, true)
    assert.match(message, /401/, 'it was tried')
  })

  it('verify says of a live token that it lives', async () => {
    const { accessToken } = await signInWith(agent)
    const before = answerOf(await agent.call('verify_oauth_revocation', { accessToken }))
    assert.deepEqual(before, { revoked: false, message: 'The access token still works.' })
    assert.equal(await lives(authority.issuer, accessToken), true, 'and did it no harm')
    const nonsense = { accessToken: `${accessToken.slice(0, -4)}AAAA` }
    assert.equal(await codeOf('verify_oauth_revocation', nonsense), 'INVALID_TOKEN')
  })
})

describe('time, through the tools', () => {
  it('a session is refreshed as long as somebody does, until it is too old altogether', async (t) => {
    const authority = await startTestAuthority()
    t.after(() => authority.stop())
    const agent = await connect(authority)
    t.after(() => agent.close())
    const [used, idle] = [await signInWith(agent), await signInWith(agent)]
    let { refreshToken } = used
    for (let day = 0; day < 75; day += 25) {
      authority.advance(25 * DAY)
      refreshToken = answerOf<Signed>(await agent.call('refresh_oauth_tokens', { refreshToken })).refreshToken
      if (day === 0) continue
      const late = { refreshToken: idle.refreshToken }
      assert.equal(refusalOf(await agent.call('refresh_oauth_tokens', late)).code, 'EXPIRED_TOKEN')
    }
    authority.advance(16 * DAY)
    assert.equal(refusalOf(await agent.call('refresh_oauth_tokens', { refreshToken })).code, 'EXPIRED_TOKEN')
  })

  it('a code runs out before its state does, and one that is in time does not', async (t) => {
    const authority = await startTestAuthority()
    t.after(() => authority.stop())
    const agent = await connect(authority)
    t.after(() => agent.close())
    const start = async () => answerOf<Flow>(await agent.call('start_oauth_flow', {}))
    const [first, second] = [await allow(await start()), await allow(await start())]
    authority.advance(240_000)
    assert.equal(answerOf(await agent.call('handle_oauth_callback', first)).success, true)
    authority.advance(61_000)
    assert.equal(refusalOf(await agent.call('handle_oauth_callback', second)).code, 'EXPIRED_CODE')
    const third = await start()
    authority.advance(third.expiresIn * 1000)
    const late = { code: 'x', state: third.state }
    assert.equal(refusalOf(await agent.call('handle_oauth_callback', late)).code, 'INVALID_STATE')
  })
})

describe('the tools when things go wrong', () => {
  it('UNAVAILABLE while nothing can be made durable: nothing has changed, and it works afterwards', async (t) => {
    const authority = await startTestAuthority()
    t.after(() => authority.stop())
    const agent = await connect(authority)
    t.after(() => agent.close())
    const { accessToken, refreshToken } = await signInWith(agent)
    const pending = await allow(answerOf<Flow>(await agent.call('start_oauth_flow', {})))
    const unblock = await blockStore(authority)
    const pair = { accessToken, refreshToken }
    const blocked = await Promise.all([
      agent.call('revoke_oauth_tokens', pair),
      agent.call('refresh_oauth_tokens', { refreshToken }),
      agent.call('start_oauth_flow', {}),
      agent.call('handle_oauth_callback', pending),
    ])
    for (const result of blocked) assert.equal(refusalOf(result).code, 'UNAVAILABLE')
    assert.equal(await lives(authority.issuer, accessToken), true)
    await unblock()
    assert.equal(answerOf(await agent.call('handle_oauth_callback', pending)).success, true)
    assert.equal(answerOf(await agent.call('revoke_oauth_tokens', pair)).success, true)
    assert.equal(await lives(authority.issuer, accessToken), false)
  })

  it('RATE_LIMITED for flows without end and for guesses without end, and logging out still works', async (t) => {
    const authority = await startTestAuthority()
    t.after(() => authority.stop())
    const agent = await connect(authority)
    t.after(() => agent.close())
    const { accessToken, refreshToken } = await signInWith(agent)
    const until = async (name: string, args: (n: number) => Record<string, unknown>) => {
      for (let n = 0; n < 100; n++) {
        const result = await agent.call(name, args(n))
        if (result.isError && refusalOf(result).code === 'RATE_LIMITED') return n
      }
      throw new Error(`a hundred calls of ${name} were all answered`)
    }
    assert.ok((await until('start_oauth_flow', () => ({}))) >= 30)
    const pair = { accessToken, refreshToken }
    assert.equal(answerOf(await agent.call('revoke_oauth_tokens', pair)).success, true)
    assert.ok((await until('revoke_oauth_tokens', (n) => ({ accessToken: `guess-${n}` }))) >= 30)
    authority.advance(10_000)
    assert.equal(answerOf(await agent.call('start_oauth_flow', {})).success, true, 'not for ever')
  })
})
