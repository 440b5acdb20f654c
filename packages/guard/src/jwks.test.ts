import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { exportJWK, generateKeyPair } from 'jose'
import { makeKeys, type Peer, startPeer } from '../test/peer.ts'
import { TokenInvalid } from './claims.ts'
import { GuardError } from './errors.ts'
import { remoteKeys } from './jwks.ts'

const header = (kid: string) => ({ alg: 'EdDSA', kid })
const foreign = (error: unknown) => error instanceof TokenInvalid && error.reason === 'foreign'
const unavailable = (error: unknown) => error instanceof GuardError && error.code === 'UNAVAILABLE'

describe('the authority’s keys', () => {
  let peer: Peer
  let time = 0
  const now = () => time
  const fetches = () => peer.seen.filter(({ path }) => path === '/oauth/jwks').length
  const resolver = () => remoteKeys({ url: `${peer.issuer}/oauth/jwks`, now })

  before(async () => {
    peer = await startPeer()
  })
  after(() => peer.stop())
  beforeEach(() => {
    peer.seen = []
    peer.jwks = [peer.keys.jwk]
  })

  it('are fetched once, when the first is needed', async () => {
    const keyFor = resolver()
    assert.equal(fetches(), 0)
    const keys = await Promise.all([keyFor(header('k1')), keyFor(header('k1')), keyFor(header('k1'))])
    assert.ok(keys.every((key) => key.type === 'public'))
    time += 20_000
    await keyFor(header('k1'))
    assert.equal(fetches(), 1)
  })

  it('are fetched again for one that is not known, at most once in 10 s', async () => {
    const keyFor = resolver()
    await keyFor(header('k1'))
    for (let i = 0; i < 5; i++) await assert.rejects(keyFor(header(`made-up-${i}`)), foreign)
    assert.equal(fetches(), 1)
    peer.jwks = [(await makeKeys('k2')).jwk]
    time += 9_999
    await assert.rejects(keyFor(header('k2')), foreign)
    time += 1
    assert.ok(await keyFor(header('k2')))
    await assert.rejects(keyFor(header('k1')), foreign, 'a key that was taken away is gone')
    assert.equal(fetches(), 2)
  })

  it('are only Ed25519 keys for signatures, without the private part', async () => {
    const rsa = await exportJWK((await generateKeyPair('RS256', { extractable: true })).publicKey)
    const p256 = await exportJWK((await generateKeyPair('ES256', { extractable: true })).publicKey)
    const pair = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true })
    const mine = peer.keys.jwk
    peer.jwks = [
      { ...rsa, kid: 'rsa' },
      { ...p256, kid: 'p256' },
      { ...(await exportJWK(pair.publicKey)), kid: 'x25519' },
      { kty: 'oct', k: 'AAAA', kid: 'oct' },
      { ...mine, kid: 'enc', use: 'enc' },
      { ...mine, kid: undefined },
      { ...mine, kid: 'broken', x: 'AA' },
      { ...(await exportJWK(peer.keys.privateKey)), kid: 'private' },
      mine,
    ]
    const keyFor = resolver()
    assert.ok(await keyFor(header('k1')), 'one bad key does not take the others with it')
    for (const kid of ['rsa', 'p256', 'x25519', 'oct', 'enc', 'undefined', 'broken'])
      await assert.rejects(keyFor(header(kid)), foreign)
    assert.equal((await keyFor(header('private'))).type, 'public')
  })

  it('go on working while the authority is away; what can’t be asked about is not called dead', async (context) => {
    const away = await startPeer()
    context.after(() => away.stop())
    const keyFor = remoteKeys({ url: `${away.issuer}/oauth/jwks`, now })
    await keyFor(header('k1'))
    await away.stop()
    time += 10_000
    await assert.rejects(keyFor(header('k2')), unavailable)
    assert.ok(await keyFor(header('k1')))
    const back = await startPeer({ port: away.port, keys: await makeKeys('k2') })
    context.after(() => back.stop())
    await assert.rejects(keyFor(header('k2')), unavailable, 'not asked again at once')
    time += 1_000
    assert.ok(await keyFor(header('k2')))
  })

  it('are not taken from an answer that is too large, a redirect, another status or something else', async (context) => {
    const bodies: Record<string, [number, string]> = {
      '/large': [200, JSON.stringify({ keys: [peer.keys.jwk], pad: 'x'.repeat(256 * 1024) })],
      '/moved': [302, ''],
      '/failed': [500, JSON.stringify({ keys: [peer.keys.jwk] })],
      '/html': [200, '<html>'],
      '/other': [200, '{"keys":7}'],
    }
    const server = createServer((req, res) => {
      const [status, body] = bodies[req.url ?? ''] ?? [404, '']
      res.writeHead(status, { location: `${peer.issuer}/oauth/jwks` }).end(body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    context.after(() => server.closeAllConnections())
    context.after(() => server.close())
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    for (const path of Object.keys(bodies))
      await assert.rejects(remoteKeys({ url: base + path })(header('k1')), unavailable, path)
  })

  it('can be fetched by a fetch of one’s own', async () => {
    let calls = 0
    const own: typeof fetch = (...args) => {
      calls++
      return fetch(...args)
    }
    await remoteKeys({ url: `${peer.issuer}/oauth/jwks`, fetch: own })(header('k1'))
    assert.equal(calls, 1)
  })
})
