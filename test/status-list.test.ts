import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { inflateSync } from 'node:zlib'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { post, refreshed, signIn } from './sign-in.ts'

/* A reader that knows nothing of us but the draft and a token’s claims. */

describe('the status list that a token names', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const placeOf = (token: string) =>
    JSON.parse(atob(`${token.split('.')[1]}`)).status.status_list as { idx: number; uri: string }

  async function isSet(token: string): Promise<boolean> {
    const { idx, uri } = placeOf(token)
    const response = await fetch(uri)
    assert.equal(response.headers.get('content-type'), 'application/statuslist+jwt')
    assert.match(response.headers.get('cache-control') ?? '', /max-age=\d+/)
    const keys = createRemoteJWKSet(new URL(`${authority.issuer}/oauth/jwks`))
    const { payload } = await jwtVerify(await response.text(), keys, { typ: 'statuslist+jwt', subject: uri })
    const { bits, lst } = payload.status_list as { bits: number; lst: string }
    assert.equal(bits, 1)
    const list = inflateSync(Buffer.from(lst, 'base64url'))
    return ((list[idx >> 3] ?? 0) & (1 << (idx & 7))) !== 0
  }

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

  it('gives each token a place of its own', async () => {
    const tokens = await Promise.all(Array.from({ length: 20 }, () => signIn(authority.issuer)))
    const places = tokens.map(({ access_token }) => placeOf(access_token).idx)
    assert.equal(new Set(places).size, 20)
    const inOrder = places.every((place, index) => index === 0 || place === (places[index - 1] ?? 0) + 1)
    assert.equal(inOrder, false, 'neighbours can be linked')
  })

  it('is not there for tokens that were never issued', async () => {
    assert.equal((await fetch(`${authority.issuer}/status-lists/7`)).status, 404)
  })
})
