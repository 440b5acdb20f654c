import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { createBrowser, signInThrough } from '../tools/browser.ts'
import { adminToken, audited, send, subOf } from './account.ts'
import { ask, sidOf } from './own.ts'
import { createRelyingParty } from './relying-party.ts'
import { API, CALLBACK, freePort, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorize, exchange, lives, post, refresh, refreshed, signIn, tokenRequest } from './sign-in.ts'

/* Who is an administrator over HTTP: accounts that the configuration names, and nobody else, however they ask. */

const OPS = { email: 'ops@example.com', password: 'a password of Ops', name: 'Ops' }
const SCOPE = 'rescind:admin'
const EVERYTHING = [
  'GET /v1/admin/guards',
  'GET /v1/admin/sessions',
  'GET /v1/admin/accounts',
  'POST /v1/admin/revocations',
  ...['compromise', 'deactivate', 'reactivate', 'reviewed'].map(
    (what) => `POST /v1/admin/accounts/x/${what}`,
  ),
]

describe('administrators', () => {
  let authority: TestAuthority
  let issuer: string
  let admin: { scope: string; resource: string }
  before(async () => {
    authority = await startTestAuthority({ admins: ['OPS@example.com'] })
    issuer = authority.issuer
    admin = { scope: SCOPE, resource: `${issuer}/v1/admin` }
    await addAccount(authority.authority.store, OPS, 'test', Date.now())
  })
  after(() => authority.stop())

  const order = { account: PERSON.email, reason: 'a test of it' }
  const returned = async (changes: object, person = OPS, browser = createBrowser()) => {
    const { back } = await authorize(issuer, { ...admin, person, browser, ...changes })
    return [back.searchParams.get('error'), back.searchParams.has('code')]
  }

  it('sign in through OAuth, read, and after a fresh sign-in end what they name', async () => {
    const person = { person: OPS }
    const theirs = await signIn(issuer)
    const tokens = await signIn(issuer, { ...admin, ...person })
    assert.equal(tokens.scope, SCOPE)
    const done = await ask(issuer, tokens, 'POST /v1/admin/revocations', order)
    assert.deepEqual([done.status, done.body.sessions], [200, 1])
    assert.equal(await lives(issuer, theirs.access_token), false)
    const [record] = (await audited(authority, 'revocation', await subOf(authority))).slice(-1)
    assert.equal(record?.actor, `account:${await subOf(authority, OPS.email)}`)

    authority.advance(301_000)
    const later = await refreshed(issuer, tokens.refresh_token)
    for (const what of EVERYTHING) {
      const { status, body, headers } = await ask(
        issuer,
        later,
        what,
        what.startsWith('POST') ? {} : undefined,
      )
      if (what.startsWith('GET')) assert.equal(status, 200, what)
      else {
        assert.deepEqual([status, body.code], [401, 'INSUFFICIENT_USER_AUTHENTICATION'], what)
        assert.match(`${headers.get('www-authenticate')}`, /insufficient_user_authentication", max_age="300"/)
      }
    }
    const command = { access_token: await adminToken(authority) }
    assert.equal((await ask(issuer, command, 'POST /v1/admin/revocations', order)).status, 200)
    const fresh = await signIn(issuer, { ...admin, ...person })
    assert.equal((await ask(issuer, fresh, 'POST /v1/admin/revocations', order)).status, 200)
  })

  it('are so with the scope alone, not with a token that only names them', async () => {
    const bare = await signIn(issuer, { ...admin, person: OPS, scope: 'openid' })
    for (const what of EVERYTHING) {
      const { status, body } = await ask(issuer, bare, what, what.startsWith('POST') ? order : undefined)
      assert.deepEqual([status, body.code], [403, 'ACCESS_DENIED'], what)
    }
  })

  it('are told apart from everybody else at the sign-in, whatever is asked for', async () => {
    assert.deepEqual(await returned({}, PERSON), ['access_denied', false])
    assert.deepEqual(await returned({ clientId: 'third-party' }, PERSON), ['access_denied', false])
    assert.deepEqual(await returned({ scope: `openid ${SCOPE}` }, PERSON), ['access_denied', false])
    const browser = createBrowser()
    await signIn(issuer, { browser })
    assert.deepEqual(await returned({}, PERSON, browser), ['access_denied', false], 'signed in already')
    const app = await createRelyingParty(issuer)
    const { parameters } = await app.begin(admin)
    const pushed = await signInThrough(
      createBrowser(),
      (await app.push(parameters)).href,
      PERSON,
      /^https:\/\/app\./,
    )
    assert.equal(pushed.searchParams.get('error'), 'access_denied', 'a pushed request')
    assert.deepEqual(await returned({}), [null, true], 'an administrator')
  })

  it('get no such token through a client that registered itself', async () => {
    const metadata = { redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none' }
    const registered = await post(`${issuer}/oauth/register`, metadata)
    const { client_id: clientId } = (await registered.json()) as { client_id: string }
    assert.deepEqual(await returned({ clientId }), ['invalid_target', false])
  })

  it('are nobody by a token for another API, whatever its scope says', async () => {
    const tokens = await signIn(issuer, { person: OPS, scope: `notes:read ${SCOPE}` }).catch(() => undefined)
    assert.ok(!tokens?.scope.includes(SCOPE))
    const plain = await signIn(issuer, { person: OPS })
    for (const what of EVERYTHING) {
      const body = what.startsWith('POST') ? { reason: 'a reason' } : undefined
      assert.equal((await ask(issuer, plain, what, body)).status, 401, what)
      const { status, text } = await ask(issuer, undefined, what, body)
      assert.equal(status, 401, what)
      assert.doesNotMatch(text, /example\.com|session"/)
    }
    const code = await authorize(issuer, { person: OPS })
    const fields = { code: code.code, code_verifier: code.verifier, redirect_uri: CALLBACK }
    const asked = { grant_type: 'authorization_code', ...fields, resource: admin.resource }
    assert.equal((await tokenRequest(issuer, asked)).status, 400, 'at the exchange')
    const more = { grant_type: 'refresh_token', refresh_token: plain.refresh_token }
    assert.equal(
      (await tokenRequest(issuer, { ...more, resource: admin.resource })).status,
      400,
      'at a refresh',
    )
    assert.equal((await tokenRequest(issuer, { ...more, scope: SCOPE })).status, 400, 'at a refresh')
  })

  it('can’t be become by taking an administrator’s e-mail', async () => {
    const { access_token } = await signIn(issuer)
    authority.config.admins.push('free@example.com')
    for (const email of ['free@example.com', 'Free@Example.COM']) {
      const body = { email, currentPassword: PERSON.password }
      const response = await send(issuer, '/v1/account/email', access_token, body)
      assert.equal(response.status, 400, email)
    }
    authority.config.admins.pop()
  })

  it('are administrators no more once they are off the list, although their token lives', async () => {
    const tokens = await signIn(issuer, { ...admin, person: OPS })
    const pending = await authorize(issuer, { ...admin, person: OPS })
    const listed = authority.config.admins.splice(0, 1, 'another@example.com')
    await authority.restart()
    assert.equal(await lives(issuer, tokens.access_token), true)
    for (const what of EVERYTHING) {
      const { status, body } = await ask(issuer, tokens, what, what.startsWith('POST') ? order : undefined)
      assert.deepEqual([status, body.code], [403, 'ACCESS_DENIED'], what)
    }
    const late = await exchange(issuer, pending)
    const lateToken = late.status === 200 ? ((await late.json()) as typeof tokens) : undefined
    if (lateToken) assert.equal((await ask(issuer, lateToken, 'GET /v1/admin/sessions')).status, 403)
    assert.deepEqual(await returned({}), ['access_denied', false])
    authority.config.admins.splice(0, 1)
    await authority.restart()
    assert.equal((await ask(issuer, tokens, 'GET /v1/admin/sessions')).status, 403, 'with nobody on it')
    authority.config.admins.push(...listed)
    await authority.restart()
    assert.equal((await ask(issuer, tokens, 'GET /v1/admin/sessions')).status, 200)

    const change = { email: 'ops2@example.com', currentPassword: OPS.password }
    assert.equal((await send(issuer, '/v1/account/email', tokens.access_token, change)).status, 200)
    assert.equal((await ask(issuer, tokens, 'GET /v1/admin/sessions')).status, 403, 'with another e-mail')
  })

  it('lose it with their account', async () => {
    const boss = { email: 'boss@example.com', password: 'a password of Boss', name: 'Boss' }
    await addAccount(authority.authority.store, boss, 'test', Date.now())
    authority.config.admins.push(boss.email)
    await authority.restart()
    const tokens = await signIn(issuer, { ...admin, person: boss })
    const sub = await subOf(authority, boss.email)
    const command = { access_token: await adminToken(authority) }
    const path = `POST /v1/admin/accounts/${sub}/deactivate`
    assert.equal((await ask(issuer, command, path, { reason: 'left us' })).status, 200)
    assert.equal((await ask(issuer, tokens, 'GET /v1/admin/sessions')).status, 401)
    assert.equal((await refresh(issuer, tokens.refresh_token)).status, 400)
    await assert.rejects(signIn(issuer, { ...admin, person: boss }), /did not return/)
  })

  it('there is no such resource where the configuration names none', async () => {
    const port = await freePort()
    const own = await startTestAuthority({ port, issuer: `http://localhost:${port}` })
    const { back } = await authorize(own.issuer, { scope: SCOPE, resource: `${own.issuer}/v1/admin` })
    assert.equal(back.searchParams.get('error'), 'invalid_target')
    const tokens = await signIn(own.issuer, { resource: API })
    assert.ok(sidOf(tokens))
    await own.stop()
  })
})
