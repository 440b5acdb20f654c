import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { StoreUnavailable } from '../packages/authority/src/store/store.ts'
import { until } from '../packages/guard/test/peer.ts'
import { createBrowser } from '../tools/browser.ts'
import { audited, subOf } from './account.ts'
import { type GuardedApi, type Open, startGuardedApi } from './guarded-api.ts'
import { startReceiver } from './receiver.ts'
import { API_GUARD, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, authorize, exchange, lives, refresh, signIn, type Tokens } from './sign-in.ts'

/* An identity provider logs people out here (draft-parecki-oauth-global-token-revocation). */

const PATH = '/oauth/global-token-revocation'
const DONE = /^https:\/\/app\.example\//
const UPSTREAM = 'https://idp.example/'
const IDP = { client_id: 'idp', client_secret: 'the secret of the idp' }
/** One that speaks for the people of two domains only. */
const TENANT = {
  ...{ client_id: 'tenant', client_secret: 'the secret of a tenant' },
  emailDomains: ['tenant.example', 'tenant.test'],
}
const keys = await generateKeyPair('ES256')
const publicKey = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'ES256' }
const SIGNER = { client_id: 'signer', issuer: UPSTREAM, jwks: { keys: [publicKey] } }

const basic = ({ client_id, client_secret }: typeof IDP) =>
  `Basic ${btoa(`${client_id}:${encodeURIComponent(client_secret)}`)}`
const byEmail = (email: string) => ({ sub_id: { format: 'email', email } })

function call(
  { issuer }: Pick<TestAuthority, 'issuer'>,
  body: unknown,
  authorization: string | undefined = basic(IDP),
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(issuer + PATH, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(authorization === '' ? {} : { authorization }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

const codeOf = async (response: Response) => ((await response.json()) as { code?: string }).code

describe('the global token revocation endpoint', () => {
  let authority: TestAuthority
  let api: GuardedApi
  let upstream: Server
  let served = 0
  let up = true
  before(async () => {
    upstream = createServer((_req, res) => {
      served++
      res.writeHead(up ? 200 : 500, { 'content-type': 'application/json' })
      res.end(JSON.stringify({ keys: [publicKey] }))
    })
    await new Promise<void>((resolve) => upstream.listen(0, 'localhost', resolve))
    const { port } = upstream.address() as AddressInfo
    const remote = { client_id: 'remote', jwks_uri: `http://localhost:${port}/jwks` }
    authority = await startTestAuthority({ identityProviders: [IDP, TENANT, SIGNER, remote] as never })
    api = await startGuardedApi(authority.issuer)
  })
  after(async () => {
    await api.close()
    await authority.stop()
    upstream.close()
  })

  async function somebody(domain = 'example.com') {
    const person = { email: `p${Math.random()}@${domain}`, password: 'a password', name: 'P' }
    const { sub } = await addAccount(authority.authority.store, person, 'test', Date.now())
    return { ...person, sub }
  }
  const bearer = async (
    claims: Record<string, unknown> = {},
    key: Parameters<SignJWT['sign']>[0] = keys.privateKey,
    kid = 'one',
  ) => {
    const iat = Math.floor(authority.authority.now() / 1000)
    const usual = { iss: UPSTREAM, aud: authority.issuer + PATH, iat, exp: iat + 60, jti: `${Math.random()}` }
    return `Bearer ${await new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg: 'ES256', kid, typ: 'global-token-revocation+jwt' }).sign(key)}`
  }

  it('ends all that a person has, everywhere, and nothing of anybody else', async () => {
    const person = await somebody()
    const browser = createBrowser()
    const tokens = [
      await signIn(authority.issuer, { person, browser }),
      await signIn(authority.issuer, { person, clientId: 'other-app' }),
    ]
    const stranger = await signIn(authority.issuer)
    const pending = await authorize(authority.issuer, { person })
    for (const { access_token } of [...tokens, stranger]) assert.equal(await api.ask(access_token), 200)
    const open: Open[] = []
    for (const { access_token } of tokens) open.push(await api.open(access_token))
    const openOfStranger = await api.open(stranger.access_token)

    const response = await call(authority, byEmail(person.email))
    assert.deepEqual([response.status, await response.text()], [204, ''])
    for (const one of tokens) assert.equal(await lives(authority.issuer, one.access_token), false)
    for (const one of open) {
      assert.equal(await one.socket, '4401 upstream_logout')
      assert.match(await one.stream, /session-ended\ndata: \{"reason":"upstream_logout"/)
      assert.match(await one.request, /upstream_logout|SESSION_ENDED|ended/i)
    }
    for (const { access_token } of tokens) assert.equal(await api.ask(access_token), 401)
    assert.equal((await refresh(authority.issuer, (tokens[0] as Tokens).refresh_token)).status, 400)
    assert.equal(
      (await refresh(authority.issuer, (tokens[1] as Tokens).refresh_token, 'other-app')).status,
      400,
    )
    assert.equal((await exchange(authority.issuer, pending)).status, 400, 'a code from before')
    const again = await browser.open(authorizationRequest(authority.issuer).url, DONE)
    assert.doesNotMatch(again.url, DONE, 'the sign-in of the browser')

    const theirs = await Promise.race([openOfStranger.socket, new Promise((r) => setTimeout(r, 50, 'open'))])
    assert.equal(theirs, 'open')
    assert.equal(await api.ask(stranger.access_token), 200)
    assert.equal((await refresh(authority.issuer, stranger.refresh_token)).status, 200)

    const ends = (await audited(authority, 'revocation', person.sub)).map(({ actor, reason }) => [
      actor,
      reason,
    ])
    assert.deepEqual(ends, Array(2).fill(['client:idp', 'upstream_logout']))
    const [logout, ...more] = await audited(authority, 'account.logged_out', person.sub)
    assert.deepEqual([logout?.actor, logout?.address, more.length], ['client:idp', '127.0.0.1', 0])
    const fresh = await signIn(authority.issuer, { person })
    assert.equal(await api.ask(fresh.access_token), 200, 'signing in again')
  })

  it('answers 204 to who has no session, and the sign-in of a browser dies all the same', async () => {
    const person = await somebody()
    const browser = createBrowser()
    // A code that nobody exchanges: signed in, without a session.
    await authorize(authority.issuer, { person, browser })
    const still = await browser.open(authorizationRequest(authority.issuer).url, DONE)
    assert.match(still.url, DONE)
    for (const _ of [1, 2]) assert.equal((await call(authority, byEmail(person.email))).status, 204)
    const again = await browser.open(authorizationRequest(authority.issuer).url, DONE)
    assert.doesNotMatch(again.url, DONE)
    assert.equal((await audited(authority, 'account.logged_out', person.sub)).length, 2)
  })

  it('knows people by e-mail in any case, by `sub`, and by `sub` at this issuer', async () => {
    const person = await somebody()
    const ways = [
      byEmail(person.email.toUpperCase()),
      { sub_id: { format: 'opaque', id: person.sub } },
      { sub_id: { format: 'iss_sub', iss: authority.issuer, sub: person.sub } },
    ]
    for (const body of ways) {
      const { access_token } = await signIn(authority.issuer, { person })
      assert.equal((await call(authority, body)).status, 204)
      assert.equal(await lives(authority.issuer, access_token), false, JSON.stringify(body))
    }
  })

  it('404 for who is not known, also by a subject upstream, which is linked to nobody', async () => {
    const person = await somebody()
    const upstreamSubject = { sub_id: { format: 'iss_sub', iss: UPSTREAM, sub: person.sub } }
    const cases: [unknown, string?][] = [
      [byEmail('nobody@example.com')],
      [{ sub_id: { format: 'opaque', id: person.email } }],
      [{ sub_id: { format: 'iss_sub', iss: authority.issuer, sub: 'nobody' } }],
      [upstreamSubject, await bearer()],
    ]
    for (const [body, as] of cases) {
      const response = await call(authority, body, as)
      assert.deepEqual([response.status, await codeOf(response)], [404, 'NOT_FOUND'], JSON.stringify(body))
    }
  })

  it('403 for what a provider may not say, 404 for people of others', async () => {
    const [own, other] = [await somebody('tenant.example'), await somebody()]
    const { access_token } = await signIn(authority.issuer, { person: other })
    const foreign = { sub_id: { format: 'iss_sub', iss: 'https://other.example', sub: other.sub } }
    const cases: [unknown, string, number][] = [
      [foreign, basic(IDP), 403],
      [{ sub_id: { format: 'iss_sub', iss: UPSTREAM, sub: other.sub } }, basic(IDP), 403],
      [byEmail(other.email), basic(TENANT), 403],
      [byEmail('nobody@example.com'), basic(TENANT), 403],
      [byEmail(`nobody@example.com@tenant.example`), basic(TENANT), 400],
      [{ sub_id: { format: 'opaque', id: other.sub } }, basic(TENANT), 404],
      [{ sub_id: { format: 'opaque', id: own.sub } }, basic(TENANT), 204],
      [byEmail(own.email.toUpperCase()), basic(TENANT), 204],
    ]
    for (const [body, as, status] of cases) {
      assert.equal((await call(authority, body, as)).status, status, JSON.stringify(body))
    }
    assert.equal(await lives(authority.issuer, access_token), true)
  })

  it('takes a token that the provider signed, once, soon, for this endpoint only', async () => {
    const person = await somebody()
    const body = byEmail(person.email)
    const now = Math.floor(authority.authority.now() / 1000)
    const foreign = await generateKeyPair('ES256')
    const good = await bearer()
    assert.equal((await call(authority, body, good)).status, 204)
    assert.equal(
      (await call(authority, body, await bearer({ iss: 'signer' }))).status,
      204,
      'RFC 7523: client_id',
    )
    const { access_token } = await signIn(authority.issuer, { person })
    const none = `Bearer ${['{"alg":"none"}', JSON.stringify({ iss: UPSTREAM }), ''].map((part) => Buffer.from(part).toString('base64url')).join('.')}`
    const bad: Record<string, string> = {
      'used before': good,
      'another key': await bearer({}, foreign.privateKey),
      'an unknown key': await bearer({}, keys.privateKey, 'two'),
      'another issuer': await bearer({ iss: 'https://evil.example' }),
      'for another endpoint': await bearer({ aud: `${authority.issuer}/oauth/token` }),
      'for the issuer': await bearer({ aud: authority.issuer }),
      expired: await bearer({ iat: now - 120, exp: now - 60 }),
      'too old, though it says that it is good for a day': await bearer({
        iat: now - 400,
        exp: now + 86_400,
      }),
      'of the future': await bearer({ iat: now + 3_600, exp: now + 3_660 }),
      'without an end': await bearer({ exp: undefined }),
      'without an id': await bearer({ jti: undefined }),
      'for a provider that has only a secret': await bearer({ iss: 'idp' }),
      unsigned: none,
      'an access token of a person': `Bearer ${access_token}`,
      'no token': 'Bearer nonsense',
    }
    for (const [what, as] of Object.entries(bad)) {
      const response = await call(authority, body, as)
      assert.equal(response.status, 401, what)
      assert.match(`${response.headers.get('www-authenticate')}`, /^Bearer .*error="invalid_token"/)
    }
    assert.equal(await lives(authority.issuer, access_token), true)
  })

  it('reads keys from where the provider publishes them, and says 503 while it can’t', async () => {
    const person = await somebody()
    up = false
    const down = await call(authority, byEmail(person.email), await bearer({ iss: 'remote' }))
    assert.deepEqual([down.status, await codeOf(down)], [503, 'UNAVAILABLE'])
    assert.ok(Number(down.headers.get('retry-after')) > 0)
    up = true
    const before = served
    for (const _ of [1, 2, 3]) {
      const response = await call(authority, byEmail(person.email), await bearer({ iss: 'remote' }))
      assert.equal(response.status, 204)
    }
    assert.equal(served, before + 1 + authority.others.length, 'the keys are kept')
  })

  it('400 for what is malformed, 415, 413 and 405 for what is no such request', async () => {
    const person = await somebody()
    const { access_token } = await signIn(authority.issuer, { person })
    const { email, sub } = person
    const malformed = [
      '',
      '{',
      '[]',
      'null',
      {},
      { sub_id: email },
      { sub_id: {} },
      { sub_id: { format: 'email' } },
      { sub_id: { format: 'email', email: 'no address' } },
      { sub_id: { format: 'email', email: [email] } },
      { sub_id: { format: 'email', email, id: sub } },
      { sub_id: { format: 'phone_number', phone_number: '+12065550100' } },
      { sub_id: { format: 'account', uri: `acct:${email}` } },
      { sub_id: { format: 'aliases', identifiers: [{ format: 'email', email }] } },
      { sub_id: { format: 'toString', id: sub } },
      { sub_id: { format: 'opaque', id: '' } },
      { sub_id: { format: 'iss_sub', sub } },
      { subject: { format: 'email', email } },
      { ...byEmail(email), more: true },
      `{"sub_id":{"format":"email","email":"${email}","email":"nobody@example.com"}}`,
      `{"sub_id":{"format":"opaque","id":"x"},"sub_id":{"format":"email","email":"${email}"}}`,
      `{"sub_id":{"format":"email","email":"nobody@example.com","\\u0065mail":"${email}"}}`,
    ]
    for (const body of malformed) {
      const response = await call(authority, body)
      const answer = (await response.json()) as { code: string; error_description: string }
      assert.deepEqual([response.status, answer.code], [400, 'VALIDATION_ERROR'], JSON.stringify(body))
      assert.ok(!answer.error_description.includes(email))
    }
    const unsupported = await call(authority, { sub_id: { format: 'did', url: 'did:x' } })
    assert.match(await unsupported.text(), /`sub_id.format` must be one of email, iss_sub, opaque/)
    const good = JSON.stringify(byEmail(email))
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/secevent+jwt'])
      assert.equal((await call(authority, good, undefined, { 'content-type': type })).status, 415)
    const large = await call(authority, `${good}${' '.repeat(70_000)}`).catch(() => undefined)
    if (large) assert.equal(large.status, 413)
    assert.equal((await fetch(authority.issuer + PATH)).status, 405)
    assert.equal(await lives(authority.issuer, access_token), true)
    assert.equal((await call(authority, ` ${good}\n`)).status, 204, 'white space is no fault')
  })

  it('callers without authentication learn nothing, and change nothing', async () => {
    const person = await somebody()
    const { access_token } = await signIn(authority.issuer, { person })
    const bodies = [byEmail(person.email), byEmail('nobody@example.com'), '{', { sub_id: { format: 'did' } }]
    const guard = { client_id: API_GUARD.clientId, client_secret: API_GUARD.clientSecret }
    const callers: Record<string, string> = {
      'no authentication': '',
      'another secret': basic({ ...IDP, client_secret: 'the secret of the id' }),
      'no secret': basic({ ...IDP, client_secret: '' }),
      'the secret of another provider': basic({ ...IDP, client_secret: TENANT.client_secret }),
      'a provider without a secret': basic({ client_id: 'signer', client_secret: 'undefined' }),
      'an API': basic(guard),
      'another scheme': 'Digest username="idp"',
    }
    for (const [what, as] of Object.entries(callers)) {
      const seen = new Set<string>()
      for (const body of bodies) {
        const response = await call(authority, body, as)
        assert.equal(response.status, 401, what)
        assert.match(`${response.headers.get('www-authenticate')}`, /^Basic realm="rescind".*Bearer/)
        seen.add(await response.text())
      }
      assert.equal(seen.size, 1, `${what}: the answers differ`)
    }
    assert.equal(await lives(authority.issuer, access_token), true)
  })

  it('503 when it can’t be made durable: the sessions live on', async () => {
    const person = await somebody()
    const tokens = await signIn(authority.issuer, { person })
    const { store } = authority.authority
    const { transact } = store
    store.transact = async () => {
      throw new StoreUnavailable('the disk is full')
    }
    const response = await call(authority, byEmail(person.email)).finally(() => {
      store.transact = transact
    })
    assert.deepEqual([response.status, await codeOf(response)], [503, 'UNAVAILABLE'])
    assert.ok(Number(response.headers.get('retry-after')) > 0)
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
    assert.equal((await call(authority, byEmail(person.email))).status, 204)
  })

  it('what was ended is dead after a restart', async () => {
    const person = await somebody()
    const { access_token, refresh_token } = await signIn(authority.issuer, { person })
    assert.equal((await call(authority, byEmail(person.email))).status, 204)
    await authority.restart()
    assert.equal(await lives(authority.issuer, access_token), false)
    assert.equal((await refresh(authority.issuer, refresh_token)).status, 400)
  })
})

describe('the global token revocation endpoint, elsewhere', () => {
  it('is in the metadata where somebody may call it, and nowhere else', async () => {
    const documents = ['openid-configuration', 'oauth-authorization-server']
    const told = async (identityProviders: unknown[]) => {
      const authority = await startTestAuthority({ identityProviders: identityProviders as never })
      const read = documents.map(async (name) => {
        const document = await (await fetch(`${authority.issuer}/.well-known/${name}`)).json()
        const {
          global_token_revocation_endpoint: at,
          global_token_revocation_endpoint_auth_methods_supported: by,
        } = document as Record<string, unknown>
        return [at === authority.issuer + PATH, at === undefined, by]
      })
      const found = await Promise.all(read)
      const { status } = await call(authority, byEmail(PERSON.email))
      await authority.stop()
      assert.deepEqual(found[0], found[1])
      return [...(found[0] as unknown[]), status]
    }
    assert.deepEqual(await told([IDP, SIGNER]), [true, false, ['client_secret_basic', 'Bearer'], 204])
    assert.deepEqual(await told([SIGNER]), [true, false, ['Bearer'], 401])
    assert.deepEqual(await told([]), [false, true, undefined, 401])
  })

  it('a flood is limited: of refused callers by address, of accounts by provider', async () => {
    const authority = await startTestAuthority({ identityProviders: [IDP, TENANT] as never })
    const flood = async (as: string | undefined, times: number) => {
      for (let i = 0; i < times; i++) {
        const response = await call(authority, byEmail(`nobody${i}@tenant.example`), as)
        const { status } = response
        await response.text()
        if (status === 429) return Number(response.headers.get('retry-after'))
      }
      return 0
    }
    assert.ok((await flood(basic({ ...IDP, client_secret: 'a wrong secret of it' }), 100)) > 0)
    assert.equal((await call(authority, byEmail(PERSON.email))).status, 204, 'the right one is heard')
    assert.ok((await flood(basic(IDP), 1_000)) > 0)
    assert.equal((await call(authority, byEmail('x@tenant.example'), basic(TENANT))).status, 404)
    authority.advance(60_000)
    assert.equal((await call(authority, byEmail(PERSON.email))).status, 204)
    await authority.stop()
  })

  it('webhooks and clients are told', async () => {
    const receiver = await startReceiver()
    const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
    const authority = await startTestAuthority({
      identityProviders: [IDP] as never,
      webhooks: [{ url: receiver.url, secret, events: ['session.ended'] }],
    })
    await signIn(authority.issuer)
    const sub = await subOf(authority)
    assert.equal((await call(authority, byEmail(PERSON.email))).status, 204)
    await until(() => receiver.received.length > 0)
    const { type, data } = JSON.parse(`${receiver.received[0]?.body}`)
    assert.deepEqual(
      [type, data.sub, data.reason, data.actor],
      ['session.ended', sub, 'upstream_logout', 'client:idp'],
    )
    await authority.stop()
    await receiver.close()
  })
})
