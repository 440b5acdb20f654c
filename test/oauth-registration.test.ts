import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as oauth from 'oauth4webapi'
import { createBrowser } from '../tools/browser.ts'
import { createRelyingParty, DONE, errorOf, INSECURE, type RelyingParty } from './relying-party.ts'
import { CALLBACK, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refresh } from './sign-in.ts'

/* RFC 7591 and 7592: a client that nobody knew comes, is let in as a stranger, and goes. */

describe('dynamic client registration', () => {
  let authority: TestAuthority
  let as: oauth.AuthorizationServer
  before(async () => {
    authority = await startTestAuthority()
    as = (await createRelyingParty(authority.issuer)).as
  })
  after(() => authority.stop())

  async function register(metadata: Partial<oauth.OmitSymbolProperties<oauth.Client>>) {
    const response = await oauth.dynamicClientRegistrationRequest(as, metadata, INSECURE)
    return oauth.processDynamicClientRegistrationResponse(response)
  }
  const PUBLIC = { redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none', client_name: 'A new app' }
  const bearer = (token: unknown) => ({ headers: { authorization: `Bearer ${token}` } })

  it('a public client gets no secret, PKCE, and a person who is asked first', async () => {
    const client = await register(PUBLIC)
    assert.equal(client.client_secret, undefined)
    assert.deepEqual(client.response_types, ['code'])
    const app = await createRelyingParty(authority.issuer, { client })
    const browser = createBrowser()
    const { url, finish } = await app.begin()
    const consent = await browser.submit(await browser.open(url.href), /\/login$/, PERSON, DONE)
    assert.match(consent.html, /A new app/, 'asked')
    const back = await browser.submit(consent, /\/consent$/, {}, DONE)
    const tokens = await finish(new URL(back.url))
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    const again = await browser.open((await app.begin()).url.href, DONE)
    assert.match(again.html, /A new app/, 'a stranger is asked about each time')
  })

  it('a client can’t make itself one of the house', async () => {
    const asked = { ...PUBLIC, client_id: 'app', firstParty: true, client_name: 'A sly app' }
    const client = await register(asked as typeof PUBLIC)
    assert.notEqual(client.client_id, 'app')
    const app = await createRelyingParty(authority.issuer, { client })
    const browser = createBrowser()
    const page = await browser.open((await app.begin()).url.href)
    const consent = await browser.submit(page, /\/login$/, PERSON, DONE)
    assert.match(consent.html, /A sly app/)
  })

  it('a confidential client has to use the secret that it was given', async () => {
    const { token_endpoint_auth_method: _, ...metadata } = PUBLIC
    const client = await register(metadata)
    const secret = `${client.client_secret}`
    assert.ok(secret.length >= 32)
    const connect = (auth: oauth.ClientAuth): Promise<RelyingParty> =>
      createRelyingParty(authority.issuer, { client, auth })
    const app = await connect(oauth.ClientSecretBasic(secret))
    const tokens = await app.signIn()
    assert.equal((await app.introspect(tokens.access_token)).active, true)
    const bare = await refresh(authority.issuer, `${tokens.refresh_token}`, client.client_id)
    assert.equal(bare.status, 401)
    const wrong = await connect(oauth.ClientSecretBasic('another secret'))
    assert.equal(await errorOf(wrong.refresh(tokens.refresh_token)), 'invalid_client')
    assert.equal((await app.refresh(tokens.refresh_token)).token_type, 'bearer')
  })

  it('metadata that can’t be right are refused, and say why', async () => {
    for (const [metadata, error] of [
      [{}, 'invalid_redirect_uri'],
      [{ redirect_uris: [] }, 'invalid_redirect_uri'],
      [{ redirect_uris: ['https://new.example/#here'] }, 'invalid_redirect_uri'],
      [{ redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
      [{ redirect_uris: ['not a url'] }, 'invalid_redirect_uri'],
      [{ redirect_uris: CALLBACK }, 'invalid_redirect_uri'],
      [{ ...PUBLIC, response_types: ['token'] }, 'invalid_client_metadata'],
      [{ ...PUBLIC, grant_types: ['client_credentials'] }, 'invalid_client_metadata'],
      [{ ...PUBLIC, grant_types: ['password'] }, 'invalid_client_metadata'],
      [{ ...PUBLIC, token_endpoint_auth_method: 'tls_client_auth' }, 'invalid_client_metadata'],
    ] as [Record<string, unknown>, string][]) {
      assert.equal(await errorOf(register(metadata as typeof PUBLIC)), error, JSON.stringify(metadata))
    }
  })

  it('its own token reads and removes a client, no other does (RFC 7592)', async () => {
    const [mine, other, third] = [await register(PUBLIC), await register(PUBLIC), await register(PUBLIC)]
    const uri = `${mine.registration_client_uri}`
    const read = await fetch(uri, bearer(mine.registration_access_token))
    assert.equal(read.status, 200)
    const shown = (await read.json()) as oauth.Client
    assert.deepEqual([shown.client_id, shown.client_name], [mine.client_id, 'A new app'])
    for (const [method, token] of [
      ['GET', 'nonsense'],
      ['DELETE', 'nonsense'],
      ['GET', other.registration_access_token],
      ['DELETE', third.registration_access_token],
    ] as const) {
      assert.equal((await fetch(uri, { ...bearer(token), method })).status, 401)
    }
    assert.equal((await fetch(uri)).status, 401, 'no token at all')
    const builtIn = `${as.registration_endpoint}/app`
    const burglar = await register(PUBLIC)
    const theft = { ...bearer(burglar.registration_access_token), method: 'DELETE' }
    assert.equal((await fetch(builtIn, theft)).status, 401)

    const app = await createRelyingParty(authority.issuer, { client: mine })
    const tokens = await app.signIn()
    const gone = await fetch(uri, { ...bearer(mine.registration_access_token), method: 'DELETE' })
    assert.equal(gone.status, 204)
    assert.equal((await fetch(uri, bearer(mine.registration_access_token))).status, 401)
    assert.equal(await errorOf(app.refresh(tokens.refresh_token)), 'invalid_client')
    const page = await createBrowser().open((await app.begin()).url.href, DONE)
    assert.equal(page.status, 400, 'it can’t sign anybody in')
  })

  it('a registration survives a restart', async (t) => {
    const own = await startTestAuthority()
    t.after(() => own.stop())
    const response = await post(`${own.issuer}/oauth/register`, PUBLIC)
    const client = (await response.json()) as oauth.Client
    await own.restart()
    const app = await createRelyingParty(own.issuer, { client })
    assert.equal(await lives(own.issuer, (await app.signIn()).access_token), true)
  })

  it('an address registers only so many, and a closed authority none', async (t) => {
    const own = await startTestAuthority()
    t.after(() => own.stop())
    const statuses: number[] = []
    for (let i = 0; i < 21; i++) statuses.push((await post(`${own.issuer}/oauth/register`, PUBLIC)).status)
    assert.deepEqual(statuses, [...Array(20).fill(201), 429])
    own.advance(60_000)
    assert.equal((await post(`${own.issuer}/oauth/register`, PUBLIC)).status, 201)

    const closed = await startTestAuthority({ registration: { open: false } })
    t.after(() => closed.stop())
    assert.equal((await post(`${closed.issuer}/oauth/register`, PUBLIC)).status, 404)
    assert.equal((await createRelyingParty(closed.issuer)).as.registration_endpoint, undefined)
  })
})
