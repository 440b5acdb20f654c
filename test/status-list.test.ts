import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { getListFromStatusListJWT, getStatusListFromJWT } from '@sd-jwt/jwt-status-list'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refreshed, signIn, type Tokens } from './sign-in.ts'

/* A reader that knows nothing of us but the draft and a token’s claims; it decodes with a library that we did not write. */

describe('the status list that a token names', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())
  afterEach(() => authority.restart())

  const placeOf = (token: string) => getStatusListFromJWT(token)
  const aggregation = async () => {
    const response = await fetch(`${authority.issuer}/status-lists`)
    assert.match(`${response.headers.get('content-type')}`, /^application\/json/)
    return ((await response.json()) as { status_lists: string[] }).status_lists
  }

  async function isSet(token: string): Promise<boolean> {
    const { idx, uri } = placeOf(token)
    const response = await fetch(uri, { headers: { accept: 'application/statuslist+jwt' } })
    assert.equal(response.headers.get('content-type'), 'application/statuslist+jwt')
    assert.equal(response.headers.get('cache-control'), 'public, max-age=10')
    const list = await response.text()
    const keys = createRemoteJWKSet(new URL(`${authority.issuer}/oauth/jwks`))
    await jwtVerify(list, keys, { typ: 'statuslist+jwt', subject: uri, currentDate: new Date(now()) })
    return getListFromStatusListJWT(list).getStatus(idx) === 1
  }
  const now = () => authority.authority.now()

  it('has its bit set once it is revoked, and no other', async () => {
    const [mine, other] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    const next = await refreshed(authority.issuer, mine.refresh_token)
    for (const { access_token } of [mine, next, other]) assert.equal(await isSet(access_token), false)
    const pair = { accessToken: next.access_token, refreshToken: next.refresh_token }
    await post(`${authority.issuer}/v1/revoke`, pair)
    authority.advance(1_000)
    assert.equal(await isSet(mine.access_token), true, 'the session’s older token')
    assert.equal(await isSet(next.access_token), true)
    assert.equal(await isSet(other.access_token), false)
    await authority.restart()
    assert.equal(await isSet(next.access_token), true, 'after a restart')
    assert.equal(await isSet(other.access_token), false)
  })

  it('says what the draft asks for (§5.1)', async () => {
    const { uri } = placeOf((await signIn(authority.issuer)).access_token)
    const list = await (await fetch(uri)).text()
    const claims = decodeJwt(list)
    const { typ, alg, kid } = decodeProtectedHeader(list)
    assert.deepEqual([typ, alg, typeof kid], ['statuslist+jwt', 'EdDSA', 'string'])
    assert.equal(claims.sub, uri)
    assert.equal(claims.iss, authority.issuer)
    assert.ok((claims.iat ?? 0) > 0 && (claims.exp ?? 0) > (claims.iat ?? 0))
    assert.equal(claims.ttl, 10)
    const { bits, aggregation_uri } = claims.status_list as { bits: number; aggregation_uri: string }
    assert.deepEqual([bits, aggregation_uri], [1, `${authority.issuer}/status-lists`])
  })

  it('is found through the metadata, with all others (§9)', async () => {
    const metadata = await fetch(`${authority.issuer}/.well-known/oauth-authorization-server`)
    const { status_list_aggregation_endpoint } = (await metadata.json()) as Record<string, string>
    assert.equal(status_list_aggregation_endpoint, `${authority.issuer}/status-lists`)
    const { uri } = placeOf((await signIn(authority.issuer)).access_token)
    assert.ok((await aggregation()).includes(uri))
  })

  it('gives each token a place of its own, in no order', async () => {
    const tokens: Tokens[] = []
    // Passwords that are being looked at count as guesses: not too many at once.
    while (tokens.length < 20)
      tokens.push(...(await Promise.all(Array.from({ length: 5 }, () => signIn(authority.issuer)))))
    const places = tokens.map(({ access_token }) => placeOf(access_token).idx)
    assert.equal(new Set(places).size, 20)
    const inOrder = places.every((place, index) => index === 0 || place === (places[index - 1] ?? 0) + 1)
    assert.equal(inOrder, false, 'neighbours can be linked')
  })

  it('is not there for tokens that were never issued, nor as it was at another time (§8.4)', async () => {
    assert.equal((await fetch(`${authority.issuer}/status-lists/7`)).status, 404)
    const { uri } = placeOf((await signIn(authority.issuer)).access_token)
    assert.equal((await fetch(`${uri}?time=1686925000`)).status, 501)
    assert.equal((await fetch(uri, { method: 'HEAD' })).status, 200)
    assert.equal((await fetch(uri, { method: 'POST' })).status, 404)
  })

  it('is gone when the last of its tokens has expired, and not before', async () => {
    const { store } = authority.authority
    const { access_token } = await signIn(authority.issuer)
    const { uri } = placeOf(access_token)
    // As many tokens as fill the list.
    const at = now()
    for (let first = 0; first < 131_072; ) {
      const block = await store.transact({
        kind: 'reserve-indexes',
        size: 4096,
        listSize: 131_072,
        at,
        until: at + 1,
      })
      first = block.first
    }
    await authority.restart()
    const next = placeOf((await signIn(authority.issuer)).access_token).uri
    assert.notEqual(next, uri)
    const [alone, other] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    await post(`${authority.issuer}/v1/revoke`, { accessToken: alone.access_token })
    authority.advance(1_000)
    assert.equal(await isSet(alone.access_token), true, 'an access token alone, in the second list')
    assert.equal(await lives(authority.issuer, alone.access_token), false)
    assert.equal(await isSet(other.access_token), false)
    authority.advance(599_000)
    assert.deepEqual(await aggregation(), [uri, next], 'its tokens have not all expired')
    assert.equal((await fetch(uri)).status, 200)
    authority.advance(700_000)
    assert.deepEqual(await aggregation(), [next])
    assert.equal((await fetch(uri)).status, 404)
    await authority.restart()
    assert.ok(!(await aggregation()).includes(uri), 'after a restart')
  })
})
