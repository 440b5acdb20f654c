import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type * as oauth from 'oauth4webapi'
import { createGuard } from '../packages/guard/src/index.ts'
import { createBrowser, signInThrough } from '../tools/browser.ts'
import { adminToken, audited } from './account.ts'
import { startGuardedApi } from './guarded-api.ts'
import { ask, sidOf } from './own.ts'
import { createRelyingParty, DONE, errorOf } from './relying-party.ts'
import { API, API_GUARD, CALLBACK, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refresh, signIn, type Tokens } from './sign-in.ts'

/* RFC 7592 §2.3: a client that deletes its registration takes with it all that it holds. */

describe('a client that deletes itself', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  async function register() {
    const metadata = { redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none' }
    return (await (await post(`${authority.issuer}/oauth/register`, metadata)).json()) as oauth.Client
  }
  const remove = ({ registration_client_uri: uri, registration_access_token: token }: oauth.Client) =>
    fetch(`${uri}`, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } })

  it('ends its sessions everywhere, in one record beside its removal, and nobody else’s', async () => {
    const api = await startGuardedApi(authority.issuer)
    const client = await register()
    const app = await createRelyingParty(authority.issuer, { client })
    const tokens = (await app.signIn()) as unknown as Tokens
    const other = await register()
    const stays = (await (
      await createRelyingParty(authority.issuer, { client: other })
    ).signIn()) as unknown as Tokens
    const mine = await signIn(authority.issuer)
    for (const one of [tokens, stays, mine]) assert.equal(await api.ask(one.access_token), 200)
    const open = await api.open(tokens.access_token)
    const request = await app.begin()
    const pending = await signInThrough(createBrowser(), request.url.href, PERSON, DONE)
    const { seq } = await authority.authority.store.read({ kind: 'head' })

    assert.equal((await remove(client)).status, 204)

    assert.equal(await open.socket, '4401 app_uninstall')
    assert.match(await open.stream, /session-ended/)
    await open.request
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    assert.equal(await api.ask(tokens.access_token), 401)
    assert.equal(await lives(authority.issuer, mine.access_token), true)
    for (const one of [stays, mine]) assert.equal(await api.ask(one.access_token), 200)
    assert.equal((await refresh(authority.issuer, tokens.refresh_token, client.client_id)).status, 401)
    assert.equal(await errorOf(request.finish(pending)), 'invalid_client', 'a code from before')
    const log = await authority.authority.store.read({ kind: 'revocations', after: seq, limit: 10 })
    assert.deepEqual(
      log.map(({ what, reason, clientId }) => [what, reason, clientId]),
      [['cut_off', 'app_uninstall', client.client_id]],
    )
    const removed = await audited(authority, 'client.removed')
    assert.ok(removed.some(({ clientId }) => clientId === client.client_id))

    const { body } = await ask(authority.issuer, mine, 'GET /v1/sessions')
    const sessions = body.sessions as { sid: string; reason?: string }[]
    assert.equal(sessions.find(({ sid }) => sid === sidOf(tokens))?.reason, 'app_uninstall')
    assert.equal(sessions.find(({ sid }) => sid === sidOf(mine))?.reason, undefined)
    const admin = { access_token: await adminToken(authority) }
    const listed = await ask(authority.issuer, admin, `GET /v1/admin/sessions?client=${client.client_id}`)
    assert.deepEqual(
      (listed.body.sessions as { reason?: string }[]).map(({ reason }) => reason),
      ['app_uninstall'],
    )
    for (const restarted of [false, true]) {
      if (restarted) await authority.restart()
      const late = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
      await late.ready()
      await assert.rejects(late.check(tokens.access_token))
      assert.ok(await late.check(mine.access_token))
      late.close()
    }
    await api.close()
  })

  it('ends nothing when its token is refused', async () => {
    const [client, burglar] = [await register(), await register()]
    const tokens = await (await createRelyingParty(authority.issuer, { client })).signIn()
    const { seq } = await authority.authority.store.read({ kind: 'head' })
    const stolen = { ...client, registration_access_token: burglar.registration_access_token }
    assert.equal((await remove(stolen as oauth.Client)).status, 401)
    assert.equal((await authority.authority.store.read({ kind: 'head' })).seq, seq)
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
  })
})
