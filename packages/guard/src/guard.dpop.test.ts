import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { AUDIENCE, CREDENTIALS, type Peer, refused, startPeer, until } from '../test/peer.ts'
import { createGuard, type Guard } from './guard.ts'

const INVALID = 'Bearer error="invalid_token", error_description="the access token is not valid"'

describe('a token that is bound to a key', () => {
  const url = 'https://api.example/notes'
  const request = { method: 'GET', url }
  let peer: Peer
  let guard: Guard
  let jwk: JWK
  let key: CryptoKey
  let token: string

  beforeEach(async () => {
    peer = await startPeer()
    const pair = await generateKeyPair('ES256', { extractable: true })
    jwk = await exportJWK(pair.publicKey)
    key = pair.privateKey
    token = await peer.token({ cnf: { jkt: await calculateJwkThumbprint(jwk) } })
    guard = createGuard({ issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS })
    await guard.ready()
  })
  afterEach(async () => {
    guard.close()
    await peer.stop()
  })
  const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
  const prove = (claims: Record<string, unknown> = {}, signer = key, own = jwk) => {
    const ath = createHash('sha256').update(token).digest('base64url')
    const all = {
      jti: crypto.randomUUID(),
      htm: 'GET',
      htu: url,
      ath,
      iat: Math.floor(Date.now() / 1000),
      ...claims,
    }
    return new SignJWT(all).setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: own }).sign(signer)
  }
  const challenge = (error: string) => `DPoP ${error}, algs="ES256 EdDSA Ed25519 PS256 RS256"`
  const PROOF = challenge('error="invalid_dpop_proof", error_description="the proof does not fit"')
  const TOKEN = challenge('error="invalid_token", error_description="the access token is not valid"')

  it('is let through with its proof, once', async () => {
    const dpop = await prove()
    const session = await guard.checkRequest({ ...request, authorization: `DPoP ${token}`, dpop })
    assert.equal(session.jkt, await calculateJwkThumbprint(jwk))
    await refused(
      guard.checkRequest({ ...request, authorization: `DPoP ${token}`, dpop }),
      'AUTHENTICATION_FAILED',
      PROOF,
    )
    await guard.checkRequest({ ...request, authorization: `dpop ${token}`, dpop: await prove() })
  })

  it('takes one of many copies of a proof that come at once', async () => {
    const dpop = await prove()
    const check = () => guard.checkRequest({ ...request, authorization: `DPoP ${token}`, dpop })
    const all = await Promise.allSettled(Array.from({ length: 20 }, check))
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  it('is refused without a proof, with another’s, for another request or another token', async () => {
    const other = await generateKeyPair('ES256', { extractable: true })
    const proofs = [
      undefined,
      '',
      'x',
      await prove({}, other.privateKey, await exportJWK(other.publicKey)),
      await prove({ htm: 'POST' }),
      await prove({ htu: 'https://api.example/other' }),
      await prove({ ath: 'x' }),
      await prove({ iat: Math.floor(Date.now() / 1000) - 70 }),
    ]
    for (const dpop of proofs)
      await refused(
        guard.checkRequest({ ...request, authorization: `DPoP ${token}`, dpop }),
        'AUTHENTICATION_FAILED',
        PROOF,
      )
  })

  it('is refused as a bearer token, with or without its proof', async () => {
    await refused(guard.checkRequest(bearer(token)), 'AUTHENTICATION_FAILED', TOKEN)
    await guard.checkRequest({ ...request, authorization: `DPoP ${token}`, dpop: await prove() })
    await refused(guard.checkRequest(bearer(token)), 'AUTHENTICATION_FAILED', TOKEN)
    await refused(guard.check(token), 'AUTHENTICATION_FAILED', TOKEN)
    await refused(
      guard.checkRequest({ ...request, ...bearer(token), dpop: await prove() }),
      'AUTHENTICATION_FAILED',
      TOKEN,
    )
  })

  it('dies like any other', async () => {
    const { signal } = await guard.checkRequest({
      ...request,
      authorization: `DPoP ${token}`,
      dpop: await prove(),
    })
    peer.revoke({ sid: 's1', reason: 'token_reuse' })
    await until(() => signal.aborted)
    const again = guard.checkRequest({ ...request, authorization: `DPoP ${token}`, dpop: await prove() })
    const error = await refused(again, 'AUTHENTICATION_FAILED', TOKEN)
    assert.equal(error.reason, 'token_reuse')
  })

  it('may be shown without the request, with what its proof has to fit', async () => {
    const proof = { dpop: await prove(), method: 'GET', url }
    const session = await guard.check(token, { proof, scope: ['notes:read'] })
    assert.equal(session.sub, 'ann')
    await refused(guard.check(token, { proof }), 'AUTHENTICATION_FAILED', PROOF)
    const fresh = { ...proof, dpop: await prove() }
    const scope = ['admin']
    const narrow = challenge('error="insufficient_scope", scope="admin"')
    await refused(guard.check(token, { proof: fresh, scope }), 'INSUFFICIENT_SCOPE', narrow)
  })

  it('is refused for a request that does not say where it went', async () => {
    for (const part of [{ url: undefined }, { method: undefined }, { url: '/notes' }]) {
      const asked = { ...request, ...part, authorization: `DPoP ${token}`, dpop: await prove() }
      await refused(guard.checkRequest(asked), 'AUTHENTICATION_FAILED', PROOF)
    }
  })

  it('is not what a bearer token becomes by another scheme', async () => {
    const plain = await peer.token()
    const ath = createHash('sha256').update(plain).digest('base64url')
    const check = guard.checkRequest({
      ...request,
      authorization: `DPoP ${plain}`,
      dpop: await prove({ ath }),
    })
    await refused(check, 'AUTHENTICATION_FAILED', INVALID)
    await guard.checkRequest(bearer(plain))
    const known = guard.checkRequest({
      ...{ ...request, authorization: `DPoP ${plain}` },
      dpop: await prove({ ath }),
    })
    await refused(known, 'AUTHENTICATION_FAILED', INVALID)
  })
})
