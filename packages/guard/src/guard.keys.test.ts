import assert from 'node:assert/strict'
import { afterEach, before, beforeEach, describe, it } from 'node:test'
import {
  AUDIENCE,
  CREDENTIALS,
  type Keys,
  makeKeys,
  type Peer,
  refused,
  signToken,
  startPeer,
  until,
} from '../test/peer.ts'
import { createGuard, type Guard } from './guard.ts'

const INVALID = 'Bearer error="invalid_token", error_description="the access token is not valid"'

describe('a guard whose authority changes its keys', () => {
  let peer: Peer
  let guard: Guard
  let k2: Keys
  let skew = 0

  const fetches = () => peer.seen.filter(({ path }) => path === '/oauth/jwks').length
  const lives = (token: string) =>
    guard.check(token).then(
      () => true,
      () => false,
    )
  const announce = (...keys: Keys[]) => {
    peer.jwks = keys.map(({ jwk }) => jwk)
    peer.message({ type: 'keys', kids: keys.map(({ jwk }) => `${jwk.kid}`) })
  }
  async function cutOff() {
    peer.feed = 'refused'
    peer.cut()
    await until(() => peer.seen.filter(({ path }) => path === '/feed').length > 1)
    skew = 5_001
  }

  before(async () => {
    k2 = await makeKeys('k2')
  })
  beforeEach(async () => {
    skew = 0
    peer = await startPeer()
    const now = () => Date.now() + skew
    guard = createGuard({ issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS, now })
    await guard.ready()
  })
  afterEach(async () => {
    guard.close()
    await peer.stop()
  })

  it('takes the tokens of a key that was announced a moment ago', async () => {
    const token = await signToken(k2, { iss: peer.issuer })
    await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
    announce(peer.keys, k2)
    await until(() => lives(token))
    await guard.check(await peer.token())
  })

  it('keeps nothing that was being verified while its key was dropped', async () => {
    announce(peer.keys, k2)
    const token = (n: number) => signToken(k2, { iss: peer.issuer, sid: `s${n}`, jti: `t${n}` })
    const tokens = await Promise.all(Array.from({ length: 400 }, (_, n) => token(n)))
    await until(() => lives(tokens[0] as string))
    const checking = tokens.map(async (one, n) => {
      await new Promise((resolve) => setTimeout(resolve, n / 10))
      return lives(one)
    })
    announce(peer.keys)
    await Promise.all(checking)
    await until(async () => !(await lives(tokens[0] as string)))
    for (const one of tokens) assert.equal(await lives(one), false)
  })

  it('trusts a key no more that was dropped, not even for tokens that it has verified', async () => {
    const old = await peer.token()
    await guard.check(old)
    announce(k2)
    await until(async () => !(await lives(old)))
    await refused(guard.check(old), 'AUTHENTICATION_FAILED', INVALID)
    await refused(guard.check(await peer.token({ jti: 't2' })), 'AUTHENTICATION_FAILED', INVALID)
    await until(async () => lives(await signToken(k2, { iss: peer.issuer })))
  })

  it('does not trust it either when the new key can’t be fetched', async () => {
    const old = await peer.token()
    await guard.check(old)
    peer.jwks = [7]
    peer.message({ type: 'keys', kids: ['k2'] })
    await until(async () => !(await lives(old)))
    await refused(guard.check(old), 'AUTHENTICATION_FAILED', INVALID)
    await refused(guard.check(await signToken(k2, { iss: peer.issuer })), 'UNAVAILABLE')
  })

  it('hears at the next connection what changed while it was away', async () => {
    const old = await peer.token()
    await guard.check(old)
    peer.jwks = [k2.jwk]
    peer.cut()
    await until(async () => !(await lives(old)))
    await guard.check(await signToken(k2, { iss: peer.issuer }))
  })

  it('refuses made-up keys without a fetch while it listens', async () => {
    const before = fetches()
    for (let i = 0; i < 5; i++) {
      const token = await signToken(k2, { iss: peer.issuer }, { kid: `made-up-${i}` })
      await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
    }
    assert.equal(fetches(), before)
  })

  it('can’t tell when it does not listen, and says so; it does not run over the authority', async () => {
    await cutOff()
    peer.jwks = [peer.keys.jwk, k2.jwk]
    const before = fetches()
    for (let i = 0; i < 5; i++)
      await refused(guard.check(await signToken(k2, { iss: peer.issuer })), 'UNAVAILABLE')
    assert.equal(fetches(), before)
  })
})
