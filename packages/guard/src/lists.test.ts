import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { CompactSign, SignJWT } from 'jose'
import { type Keys, makeKeys, placeOf } from '../test/peer.ts'
import { TokenInvalid } from './claims.ts'
import { loadStatusLists, readStatusList } from './lists.ts'
import { createStatusBits, isSet, LIST_SIZE, listUri, type Place, type StatusBits } from './status.ts'

const NOW = 1_700_000_000_000
const SECONDS = NOW / 1000
let keys: Keys
let others: Keys

before(async () => {
  keys = await makeKeys('k1')
  others = await makeKeys('k1')
})
const keyFor = async ({ kid }: { kid: string }) => {
  if (kid !== 'k1') throw new TokenInvalid('foreign')
  return keys.publicKey
}
const zip = (bytes: Uint8Array) => deflateSync(bytes).toString('base64url')
/** The bytes of a list with these bits set. */
const withBits = (...set: number[]) => {
  const bytes = new Uint8Array(LIST_SIZE / 8)
  for (const idx of set) bytes[idx >> 3] = (bytes[idx >> 3] ?? 0) | (1 << (idx & 7))
  return bytes
}
function sign(claims: Record<string, unknown>, header: Record<string, unknown> = {}, by = keys) {
  return new SignJWT({ iat: SECONDS, exp: SECONDS + 300, rescind_seq: 7, rescind_tag: 'tag-7', ...claims })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'statuslist+jwt', kid: 'k1', ...header })
    .sign(by.privateKey)
}

describe('a status list', () => {
  const uri = 'https://login.example/status-lists/3'
  const good = { sub: uri, status_list: { bits: 1, lst: zip(withBits(0, 9)) } }
  const read = async (token: Promise<string> | string, now = NOW) =>
    readStatusList(await token, { uri, keyFor, now })
  const refused = async (token: Promise<string> | string, now = NOW) =>
    assert.rejects(read(token, now), Error)

  it('is read: its bits, and the newest revocation that it knows', async () => {
    const { bytes, ...place } = await read(sign(good))
    assert.deepEqual([...bytes.subarray(0, 3)], [1, 2, 0])
    assert.deepEqual([bytes.length, place], [LIST_SIZE / 8, placeOf(7)])
  })

  it('is not believed without a signature, with another’s, or changed', async () => {
    await refused(sign(good, {}, others))
    await refused(sign(good, { kid: 'k2' }))
    await refused(sign(good, { kid: undefined }))
    const [header, payload, signature] = (await sign(good)).split('.') as [string, string, string]
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const freed = encode({
      ...good,
      iat: SECONDS,
      exp: SECONDS + 300,
      status_list: { bits: 1, lst: zip(withBits()) },
    })
    await refused(`${header}.${freed}.${signature}`)
    await refused(`${encode({ alg: 'none', typ: 'statuslist+jwt', kid: 'k1' })}.${payload}.`)
    for (const text of [
      '',
      '..',
      `${header}.${payload}`,
      `${header}.${payload}.`,
      'x.y.z',
      `${header}..${signature}`,
    ])
      await refused(text)
  })

  it('is not an access token, or anything else that the authority signs', async () => {
    for (const typ of ['at+jwt', 'JWT', undefined, 'statuslist+cwt', 'Statuslist+jwt'])
      await refused(sign(good, { typ }))
    for (const payload of ['null', '7', '[]', '"x"', '{', '']) {
      const signer = new CompactSign(Buffer.from(payload))
      const header = { alg: 'EdDSA', typ: 'statuslist+jwt', kid: 'k1' }
      await refused(signer.setProtectedHeader(header).sign(keys.privateKey))
    }
  })

  it('is not another list', async () => {
    for (const sub of ['https://login.example/status-lists/4', `${uri}/`, '', undefined, 3, [uri]])
      await refused(sign({ ...good, sub }))
  })

  it('is not an old one, shown again, nor one of the future', async () => {
    const token = sign(good)
    await read(token, NOW + 359_000)
    await refused(token, NOW + 360_000)
    await read(token, NOW - 60_000)
    await refused(token, NOW - 61_000)
    for (const time of [undefined, null, '1', 1.5, {}]) {
      await refused(sign({ ...good, exp: time as number }))
      await refused(sign({ ...good, iat: time as number }))
    }
  })

  it('has one bit for each token, in zlib, in base64url', async () => {
    const bytes = withBits(3)
    const lists = [2, 4, 8, '1', 0, undefined].map((bits) => ({ bits, lst: zip(bytes) }))
    const texts = [
      ...[
        undefined,
        null,
        7,
        '',
        '=',
        ' ',
        'x',
        zip(bytes).slice(0, -4),
        zip(bytes).slice(4),
        `${zip(bytes)}=`,
      ],
      ...[Buffer.from(bytes), deflateRawSync(bytes), gzipSync(bytes)].map((text) =>
        text.toString('base64url'),
      ),
      `${deflateSync(Buffer.alloc(9)).toString('base64url')}+/`,
    ]
    for (const lst of texts) lists.push({ bits: 1, lst: lst as string })
    for (const status_list of lists) await refused(sign({ ...good, status_list }))
    for (const status_list of [undefined, null, 7, 'x', []]) await refused(sign({ ...good, status_list }))
  })

  it('can’t be a bomb', async () => {
    const fits = await read(
      sign({ ...good, status_list: { bits: 1, lst: zip(new Uint8Array(LIST_SIZE / 8)) } }),
    )
    assert.equal(fits.bytes.length, LIST_SIZE / 8)
    for (const size of [LIST_SIZE / 8 + 1, 64 * 1024 * 1024])
      await refused(sign({ ...good, status_list: { bits: 1, lst: zip(new Uint8Array(size)) } }))
  })

  it('knows nothing when it does not say what it knows', async () => {
    for (const rescind_seq of [undefined, null, '7', 1.5, -7])
      assert.equal((await read(sign({ ...good, rescind_seq }))).seq, 0)
  })
})

describe('loading the status lists', () => {
  let issuer: string
  let routes: Record<string, RequestListener>
  let bits: StatusBits
  let stop: () => void

  before(async () => {
    const server = createServer((req, res) => {
      const route = routes[req.url ?? '']
      if (route) route(req, res)
      else res.writeHead(404).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    stop = () => server.close().closeAllConnections()
  })
  after(() => stop())
  beforeEach(() => {
    routes = {}
    bits = createStatusBits(issuer)
  })

  const load = (now = NOW) =>
    loadStatusLists({ aggregation: `${issuer}/status-lists`, bits, keyFor, now: () => now })
  const name = (lists: unknown, rescind_seq: unknown = 9) => {
    routes['/status-lists'] = (_, res) =>
      res.end(JSON.stringify({ status_lists: lists, rescind_seq, rescind_tag: `tag-${rescind_seq}` }))
  }
  const plain =
    (text: string): RequestListener =>
    (_, res) => {
      res.sendDate = false
      res.end(text)
    }
  async function put(list: number, set: number[], claims: Record<string, unknown> = {}) {
    const status_list = { bits: 1, lst: zip(withBits(...set)) }
    routes[`/status-lists/${list}`] = plain(
      await sign({ sub: listUri(issuer, list), status_list, ...claims }),
    )
  }
  const set = (list: number, idx: number) => isSet(bits.place({ idx, uri: listUri(issuer, list) }) as Place)
  const refused = async (message?: RegExp) =>
    assert.rejects(load(), (error) => error instanceof Error && (!message || message.test(error.message)))

  it('reads all, and knows as much as the one that knows least', async () => {
    name([listUri(issuer, 0), listUri(issuer, 5)], 9)
    await put(0, [1], { rescind_seq: 8, rescind_tag: 'tag-8' })
    await put(5, [2], { rescind_seq: 4, rescind_tag: 'tag-4' })
    assert.deepEqual(await load(), placeOf(4))
    assert.deepEqual([set(0, 1), set(0, 2), set(5, 2), set(5, 1)], [true, false, true, false])
    await put(0, [], { rescind_seq: 12 })
    await put(5, [3], { rescind_seq: 12 })
    assert.deepEqual(await load(), placeOf(9), 'there may be a list that was not named yet')
    assert.deepEqual([set(0, 1), set(5, 2), set(5, 3)], [true, true, true], 'what was dead stays dead')
  })

  it('fails when they are of two logs', async () => {
    name([listUri(issuer, 0), listUri(issuer, 5)], 9)
    await put(0, [1], { rescind_seq: 9, rescind_tag: 'other' })
    await put(5, [2], { rescind_seq: 9, rescind_tag: 'tag-9' })
    await refused(/two logs/)
    await put(0, [1])
    assert.deepEqual(await load(), placeOf(7))
    await put(5, [2], { rescind_tag: 'other' })
    await refused(/two logs/)
  })

  it('reads very many', async () => {
    const count = 40
    name(Array.from({ length: count }, (_, list) => listUri(issuer, list)))
    for (let list = 0; list < count; list++) await put(list, [list])
    assert.deepEqual(await load(), placeOf(7))
    for (let list = 0; list < count; list++) assert.ok(set(list, list) && !set(list, list + 1))
  })

  it('is content when there is none', async () => {
    name([], 0)
    assert.deepEqual(await load(), placeOf(0))
  })

  it('asks nobody when the list of lists names a stranger', async () => {
    let asked = 0
    routes['/status-lists/0'] = (_, res) => res.end(`${++asked}`)
    const strangers = [
      'http://127.0.0.1:1/status-lists/0',
      `${issuer}.evil.example/status-lists/0`,
      '/status-lists/0',
    ]
    for (const uri of [...strangers, `${issuer}/status-lists/../oauth`, 7, null, {}]) {
      name([listUri(issuer, 0), uri])
      await refused(/not the authority/)
    }
    assert.equal(asked, 0)
  })

  it('fails when the list of lists is none', async () => {
    for (const lists of [undefined, null, 7, 'x', {}]) {
      name(lists)
      await refused(/malformed/)
    }
    for (const seq of [null, '9', 1.5, {}]) {
      name([], seq)
      await refused(/malformed/)
    }
    for (const text of ['', 'x', 'null', '<html>']) {
      routes['/status-lists'] = plain(text)
      await refused()
    }
  })

  it('fails when one of them is missing, wrong, or another one: what it says would be missing', async () => {
    name([listUri(issuer, 0), listUri(issuer, 1)])
    await put(0, [1])
    await refused(/\/status-lists\/1 answered 404/)
    await put(1, [1], { sub: listUri(issuer, 0) })
    await refused(/another status list/)
    await put(1, [1], { exp: SECONDS - 61 })
    await refused(/expired/)
    await put(1, [1], { status_list: { bits: 2, lst: 'AAAA' } })
    await refused(/malformed/)
    await put(1, [1])
    await load()
  })

  it('fails when an answer is too large, redirects, or is of another status', async () => {
    name([listUri(issuer, 0)])
    await put(0, [1])
    const good = routes['/status-lists/0'] as RequestListener
    const large: RequestListener = (_, res) => res.end('x'.repeat(65_537))
    const moved: RequestListener = (_, res) => res.writeHead(302, { location: '/moved' }).end()
    const partial: RequestListener = (req, res) => {
      res.statusCode = 206
      good(req, res)
    }
    routes['/moved'] = good
    for (const listener of [large, moved, partial]) {
      routes['/status-lists/0'] = listener
      await refused()
    }
    routes['/status-lists/0'] = good
    await load()
    const names = routes['/status-lists'] as RequestListener
    routes['/moved'] = names
    routes['/status-lists'] = moved
    await refused()
    const padding = { status_lists: [], rescind_seq: 9, pad: 'x'.repeat(1024 * 1024) }
    routes['/status-lists'] = plain(JSON.stringify(padding))
    await refused(/bytes/)
  })

  it('goes by the time that the answer says, for a clock that is wrong; by its own, where it says none', async () => {
    name([listUri(issuer, 0)])
    await put(0, [1])
    assert.deepEqual(await load(NOW), placeOf(7))
    await assert.rejects(load(NOW + 10 * 60_000), /expired/)
    const good = routes['/status-lists/0'] as RequestListener
    const dated =
      (date: string): RequestListener =>
      (req, res) => {
        res.setHeader('date', date)
        good(req, res)
      }
    routes['/status-lists/0'] = dated(new Date(NOW).toUTCString())
    assert.deepEqual(await load(NOW + 10 * 60_000), placeOf(7))
    routes['/status-lists/0'] = dated(new Date(NOW + 10 * 60_000).toUTCString())
    await assert.rejects(load(NOW), /expired/)
    routes['/status-lists/0'] = dated('yesterday')
    assert.deepEqual(await load(NOW), placeOf(7))
  })
})
