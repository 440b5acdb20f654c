import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { exportJWK, generateKeyPair } from 'jose'
import { type Keys, makeKeys, type Peer, startPeer } from '../test/peer.ts'
import { TokenInvalid } from './claims.ts'
import { GuardError } from './errors.ts'
import { type RemoteKeys, remoteKeys } from './jwks.ts'

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
    const { find } = resolver()
    assert.equal(fetches(), 0)
    const keys = await Promise.all([find(header('k1')), find(header('k1')), find(header('k1'))])
    assert.ok(keys.every((key) => key.type === 'public'))
    time += 20_000
    await find(header('k1'))
    assert.equal(fetches(), 1)
  })

  it('are fetched again for one that is not known, at most once in 10 s', async () => {
    const { find } = resolver()
    await find(header('k1'))
    for (let i = 0; i < 5; i++) await assert.rejects(find(header(`made-up-${i}`)), unavailable)
    assert.equal(fetches(), 1)
    peer.jwks = [(await makeKeys('k2')).jwk]
    time += 9_999
    await assert.rejects(find(header('k2')), unavailable, 'it may be a new one')
    time += 1
    assert.ok(await find(header('k2')))
    await assert.rejects(find(header('k1')), unavailable, 'a key that was taken away is gone')
    time += 10_000
    await assert.rejects(find(header('k1')), foreign, 'asked just now, the authority does not have it')
    assert.equal(fetches(), 3)
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
    const { find } = resolver()
    assert.ok(await find(header('k1')), 'one bad key does not take the others with it')
    for (const kid of ['rsa', 'p256', 'x25519', 'oct', 'enc', 'undefined', 'broken']) {
      time += 10_000
      await assert.rejects(find(header(kid)), foreign)
    }
    assert.equal((await find(header('private'))).type, 'public')
  })

  it('go on working while the authority is away; what can’t be asked about is not called dead', async (context) => {
    const away = await startPeer()
    context.after(() => away.stop())
    const { find } = remoteKeys({ url: `${away.issuer}/oauth/jwks`, now })
    await find(header('k1'))
    await away.stop()
    time += 10_000
    await assert.rejects(find(header('k2')), unavailable)
    assert.ok(await find(header('k1')))
    const back = await startPeer({ port: away.port, keys: await makeKeys('k2') })
    context.after(() => back.stop())
    await assert.rejects(find(header('k2')), unavailable, 'not asked again at once')
    time += 1_000
    assert.ok(await find(header('k2')))
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
      await assert.rejects(remoteKeys({ url: base + path }).find(header('k1')), unavailable, path)
  })

  it('never come from one token with many made-up names: one fetch answers all that ask at once', async () => {
    const { find } = resolver()
    const all = await Promise.allSettled(Array.from({ length: 50 }, (_, i) => find(header(`made-up-${i}`))))
    assert.ok(all.every((one) => one.status === 'rejected' && foreign(one.reason)))
    assert.equal(fetches(), 1)
  })

  it('can be fetched by a fetch of one’s own', async () => {
    let calls = 0
    const own: typeof fetch = (...args) => {
      calls++
      return fetch(...args)
    }
    await remoteKeys({ url: `${peer.issuer}/oauth/jwks`, fetch: own }).find(header('k1'))
    assert.equal(calls, 1)
  })
})

describe('keys that the authority has announced', () => {
  const url = 'https://login.example/oauth/jwks'
  let served: unknown[]
  let answer: () => Promise<Response>
  let fetches: number
  let dropped: number
  let live: boolean
  let keys: RemoteKeys
  let k1: Keys
  let k2: Keys

  before(async () => {
    k1 = await makeKeys('k1')
    k2 = await makeKeys('k2')
  })
  beforeEach(() => {
    served = [k1.jwk]
    answer = async () => Response.json({ keys: served })
    fetches = 0
    dropped = 0
    live = true
    keys = remoteKeys({
      ...{ url, now: () => 0, listening: () => live },
      onDropped: () => dropped++,
      fetch: () => {
        fetches++
        return answer()
      },
    })
  })

  it('are fetched at once when one is new, whoever asked a moment ago', async () => {
    await keys.expect(['k1'])
    served = [k1.jwk, k2.jwk]
    await keys.expect(['k1', 'k2'])
    assert.ok(await keys.find(header('k2')))
    await keys.expect(['k2', 'k1'])
    assert.deepEqual([fetches, dropped], [2, 0])
  })

  it('are trusted no more when they are not announced again, even if they can’t be fetched', async () => {
    await keys.expect(['k1'])
    answer = async () => new Response('', { status: 500 })
    await keys.expect(['k2'])
    assert.equal(dropped, 1)
    await assert.rejects(keys.find(header('k1')), foreign)
    await assert.rejects(keys.find(header('k2')), unavailable, 'it was announced and could not be had')
  })

  it('are what made-up names are refused by, without a fetch, while we listen; not when we don’t', async () => {
    await keys.expect(['k1'])
    for (let i = 0; i < 5; i++) await assert.rejects(keys.find(header(`made-up-${i}`)), foreign)
    live = false
    await assert.rejects(keys.find(header('made-up')), unavailable)
    assert.equal(fetches, 1)
  })

  it('are asked for again when the answer that was under way is older than they are', async () => {
    const { promise, resolve } = Promise.withResolvers<Response>()
    answer = () => promise
    const first = keys.find(header('k1'))
    served = [k2.jwk]
    answer = async () => Response.json({ keys: served })
    const expected = keys.expect(['k2'])
    resolve(Response.json({ keys: [k1.jwk] }))
    await Promise.allSettled([first, expected])
    assert.ok(await keys.find(header('k2')))
    await assert.rejects(keys.find(header('k1')), foreign)
  })

  it('do not come back with an answer that is older than their end', async () => {
    served = [k1.jwk, k2.jwk]
    await keys.expect(['k1', 'k2'])
    const { promise, resolve } = Promise.withResolvers<Response>()
    answer = () => promise
    let time = 0
    const slow = remoteKeys({ url, now: () => time, listening: () => true, fetch: () => answer() })
    answer = async () => Response.json({ keys: served })
    await slow.expect(['k1', 'k2'])
    answer = () => promise
    time = 20_000
    const asking = assert.rejects(slow.find(header('k3')))
    await slow.expect(['k2'])
    resolve(Response.json({ keys: served }))
    await asking
    await assert.rejects(slow.find(header('k1')), foreign)
    assert.ok(await slow.find(header('k2')))
  })

  it('tell who remembers their signatures when a fetch finds them gone', async () => {
    let time = 0
    const own = remoteKeys({ url, now: () => time, onDropped: () => dropped++, fetch: () => answer() })
    await own.find(header('k1'))
    served = [k2.jwk]
    time = 10_000
    await own.find(header('k2'))
    assert.equal(dropped, 1)
  })
})
