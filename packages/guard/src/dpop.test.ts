import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { before, describe, it } from 'node:test'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { TokenInvalid } from './claims.ts'
import { verifyDpopProof } from './dpop.ts'

const NOW = 1_700_000_000_000
const URL_OF_IT = 'https://api.example/notes'
const expected = { method: 'GET', url: URL_OF_IT, now: NOW }
let key: CryptoKey
let jwk: JWK

function proof(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, signer = key) {
  return new SignJWT({ jti: 'p1', htm: 'GET', htu: URL_OF_IT, iat: NOW / 1000, ...claims })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header })
    .sign(signer)
}

async function refused(text: Promise<string> | string, what: object = expected) {
  await assert.rejects(
    verifyDpopProof(await text, { ...expected, ...what }),
    (error) => error instanceof TokenInvalid && error.reason === 'malformed',
  )
}

describe('a DPoP proof', () => {
  before(async () => {
    const pair = await generateKeyPair('ES256', { extractable: true })
    key = pair.privateKey
    jwk = await exportJWK(pair.publicKey)
  })

  it('proves a key, for each algorithm that is allowed', async () => {
    for (const alg of ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']) {
      const pair = await generateKeyPair(alg, { extractable: true })
      const own = await exportJWK(pair.publicKey)
      assert.deepEqual(
        await verifyDpopProof(await proof({}, { alg, jwk: own }, pair.privateKey), expected),
        { jkt: await calculateJwkThumbprint(own), jti: 'p1', iat: NOW / 1000 },
        alg,
      )
    }
  })

  it('is refused with another algorithm, another type, or a key that is missing, secret or not the signer’s', async () => {
    const es384 = await generateKeyPair('ES384', { extractable: true })
    await refused(proof({}, { alg: 'ES384', jwk: await exportJWK(es384.publicKey) }, es384.privateKey))
    const secret = new TextEncoder().encode('x'.repeat(32))
    const oct = { kty: 'oct', k: Buffer.from(secret).toString('base64url') }
    const hmac = new SignJWT({ jti: 'p1', htm: 'GET', htu: URL_OF_IT, iat: NOW / 1000 })
    await refused(hmac.setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: oct }).sign(secret))
    for (const typ of ['JWT', 'at+jwt', undefined]) await refused(proof({}, { typ }))
    await refused(proof({}, { jwk: undefined }))
    await refused(proof({}, { jwk: await exportJWK(key) }))
    const other = await exportJWK((await generateKeyPair('ES256', { extractable: true })).publicKey)
    await refused(proof({}, { jwk: other }))
    const part = Buffer.from(JSON.stringify({ alg: 'none', typ: 'dpop+jwt', jwk })).toString('base64url')
    await refused(`${part}.${(await proof()).split('.')[1]}.`)
  })

  it('is of this method and this address, but for query and fragment', async () => {
    await verifyDpopProof(await proof({ htu: `${URL_OF_IT}?a#b` }), { ...expected, url: `${URL_OF_IT}?c=d` })
    await verifyDpopProof(await proof({ htu: 'HTTPS://API.example:443/notes' }), expected)
    for (const htm of ['POST', 'get', undefined, 7]) await refused(proof({ htm }))
    const others = ['http://api.example/notes', 'https://api.example/Notes', 'https://api.example/notes/']
    for (const htu of [...others, 'https://evil.example/notes', '/notes', '', undefined, 7])
      await refused(proof({ htu }))
    await refused(proof(), { url: 'not an address' })
  })

  it('is at most 60 s from now', async () => {
    for (const off of [-60, 60]) await verifyDpopProof(await proof({ iat: NOW / 1000 + off }), expected)
    for (const iat of [NOW / 1000 - 61, NOW / 1000 + 61, undefined, `${NOW / 1000}`])
      await refused(proof({ iat }))
  })

  it('names itself', async () => {
    for (const jti of [undefined, '', 7, 'x'.repeat(257)]) await refused(proof({ jti }))
  })

  it('is of this access token, where one is sent', async () => {
    const ath = createHash('sha256').update('the token').digest('base64url')
    await verifyDpopProof(await proof({ ath }), { ...expected, accessToken: 'the token' })
    await refused(proof({ ath }), { accessToken: 'another token' })
    await refused(proof(), { accessToken: 'the token' })
  })

  it('is refused when it is none', async () => {
    for (const text of ['', 'x', 'a.b.c', undefined, null, 7]) await refused(text as string)
    await refused(proof({ pad: 'x'.repeat(9000) }))
    const [good] = [await proof()]
    await refused(`${good}, ${good}`)
  })
})
