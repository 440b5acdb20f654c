import assert from 'node:assert/strict'
import { createHmac, createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { deflateSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { exportJWK } from 'jose'
import { AUDIENCE, CREDENTIALS, type Keys, makeKeys, type Peer, startPeer } from '../test/peer.ts'
import { readClaims, TokenInvalid } from './claims.ts'
import { GuardError } from './errors.ts'
import { createGuard, type Guard } from './guard.ts'
import { readStatusList } from './lists.ts'
import { type FeedMessage, readAck, readMessage, writeAck } from './protocol.ts'
import { LIST_SIZE } from './status.ts'
import { createVerifier, type Verifier } from './verify.ts'

const ISSUER = 'https://login.example'
const LIST = `${ISSUER}/status-lists/0`
const now = () => Math.floor(Date.now() / 1000)
const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

type Signer = (header: unknown, payload: unknown) => string
/** Signs whatever it is given, at once. */
async function signerOf({ privateKey }: Keys): Promise<Signer> {
  const key: KeyObject = createPrivateKey({ key: (await exportJWK(privateKey)) as never, format: 'jwk' })
  return (header, payload) => {
    const signed = `${encode(header)}.${encode(payload)}`
    return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`
  }
}
const HEADER = { alg: 'EdDSA', typ: 'at+jwt', kid: 'k1' }
const claimsOf = (more: Record<string, unknown> = {}) => ({
  ...{ iss: ISSUER, sub: 'ann', aud: AUDIENCE, client_id: 'app', sid: 's1', jti: 't1', scope: 'notes:read' },
  ...{ status: { status_list: { idx: 7, uri: LIST } }, iat: now() - 10, exp: now() + 600, ...more },
})

const CHARACTERS = [
  ...'AZaz09-_.=+/ \n"{}[]:,\\0é٣'.split(''),
  '\u0000',
  '\ud800',
  '😀',
  '__proto__',
  '-1',
  '1e9',
]
type Change = [number, number, number, string]
const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.tuple(fc.nat(5), fc.nat(), fc.nat(40), fc.constantFrom(...CHARACTERS)),
  { minLength: 1, maxLength: 4 },
)
/** Changes a text here and there. */
function mutate(text: string, all: Change[]): string {
  return all.reduce((before, [how, where, length, character]) => {
    const at = where % (before.length + 1)
    const [head, tail] = [before.slice(0, at), before.slice(at)]
    if (how === 0) return head + character + tail.slice(1)
    if (how === 1) return head + character + tail
    if (how === 2) return head + tail.slice(1 + (length % 4))
    if (how === 3) return head + tail.slice(0, length) + tail
    if (how === 4) return tail + head
    return head
  }, text)
}
const ODD: unknown[] = [
  ...[undefined, null, true, false, 0, -1, 1.5, 2 ** 53, 1e308, '', ' ', '0', 'null', 'x'.repeat(3000)],
  ...[[], {}, [null], { toString: 'x' }, ['a', 'b'], { __proto__: null }, { length: 1 }, '\u0000', '😀'],
]
const odd = fc.constantFrom(...ODD)
/** An object, some of whose fields are of another kind. */
const spoilt = (fields: Record<string, unknown>) =>
  fc
    .array(fc.tuple(fc.constantFrom(...Object.keys(fields)), odd), { maxLength: 3 })
    .map((spoils) => ({ ...fields, ...Object.fromEntries(spoils) }) as Record<string, unknown>)

const ALGORITHMS = [
  'none',
  'None',
  'HS256',
  'HS512',
  'ES256',
  'RS256',
  'EdDSA',
  'Ed25519',
  'ed25519',
  'Ed448',
]
const TYPES = ['at+jwt', 'application/at+jwt', 'JWT', 'AT+JWT', 'at+jwt ', 'logout+jwt', 'dpop+jwt']
const header = fc
  .record({
    alg: fc.oneof(fc.constantFrom(...ALGORITHMS), odd),
    typ: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...TYPES) }, odd),
    kid: fc.oneof({ weight: 4, arbitrary: fc.constant('k1') }, odd, fc.string()),
    more: fc.constantFrom({}, {}, { crit: ['b64'], b64: true }, { crit: [] }, { b64: false }, { jwk: {} }),
  })
  .map(({ more, ...same }) => ({ ...same, ...more }) as Record<string, unknown>)

async function verdict(what: Promise<unknown>): Promise<boolean> {
  try {
    await what
    return true
  } catch (error) {
    assert.ok(error instanceof TokenInvalid, `${error}`)
    return false
  }
}

describe('whatever tokens are made of', () => {
  let keys: Keys
  let mine: Signer
  let theirs: Signer
  let verify: Verifier['verify']
  let genuine: string[]
  let pool: string[]

  before(async () => {
    keys = await makeKeys('k1')
    mine = await signerOf(keys)
    theirs = await signerOf(await makeKeys('k1'))
    const keyFor = async ({ kid }: { kid: string }) => {
      if (kid !== 'k1') throw new TokenInvalid('foreign')
      return keys.publicKey
    }
    // A memory so small that what was refused once is looked at again.
    const verifier = createVerifier({ issuer: ISSUER, keyFor, cacheSize: 1 })
    verify = verifier.verify
    genuine = [
      mine(HEADER, claimsOf()),
      mine(HEADER, claimsOf({ jti: 't2', sub: 'bob', scope: 'admin', auth_time: 1, acr: 'mfa' })),
      mine({ ...HEADER, alg: 'Ed25519', typ: 'application/at+jwt' }, claimsOf({ cnf: { jkt: 'x' } })),
    ]
    pool = [
      ...genuine,
      theirs(HEADER, claimsOf({ sub: 'admin' })),
      mine({ ...HEADER, typ: 'logout+jwt' }, claimsOf()),
      mine({ ...HEADER, typ: 'statuslist+jwt' }, claimsOf({ sub: LIST })),
      mine(HEADER, claimsOf({ iss: 'https://evil.example' })),
      mine(HEADER, claimsOf({ exp: now() - 60 })),
    ]
    for (const token of pool) assert.equal(await verdict(verify(token)), genuine.includes(token))
  })

  it('a changed token is not accepted (30,000)', async () => {
    const cases = fc.asyncProperty(fc.nat(7), changes, async (which, all) => {
      const token = mutate(pool[which] as string, all)
      assert.equal(await verdict(verify(token)), genuine.includes(token))
    })
    await fc.assert(cases, { numRuns: 30_000 })
  })

  it('parts of different tokens make no token (8,000)', async () => {
    const part = fc.tuple(fc.nat(7), fc.nat(2))
    const cases = fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 5 }), async (parts) => {
      const token = parts.map(([which, at]) => `${pool[which]}`.split('.')[at]).join('.')
      assert.equal(await verdict(verify(token)), genuine.includes(token))
    })
    const right = fc.asyncProperty(fc.nat(7), fc.nat(7), fc.nat(7), async (...from) => {
      const token = from.map((which, at) => `${pool[which]}`.split('.')[at]).join('.')
      assert.equal(await verdict(verify(token)), genuine.includes(token))
    })
    await fc.assert(cases, { numRuns: 4_000 })
    await fc.assert(right, { numRuns: 4_000 })
  })

  it('a header is not believed without a signature over it (15,000)', async () => {
    const seal = fc.constantFrom('', 'AAAA', 'same', 'hmac', 'jwk')
    const cases = fc.asyncProperty(header, fc.nat(2), seal, async (head, which, how) => {
      const [, payload, signature = ''] = `${genuine[which]}`.split('.')
      const signed = `${encode(head)}.${payload}`
      const secret = how === 'hmac' ? Buffer.from(`${keys.jwk.x}`, 'base64url') : JSON.stringify(keys.jwk)
      const mac = createHmac('sha256', secret).update(signed).digest('base64url')
      const token = `${signed}.${how === 'same' ? signature : how.length === 3 || how === 'hmac' ? mac : how}`
      assert.equal(await verdict(verify(token)), genuine.includes(token))
    })
    await fc.assert(cases, { numRuns: 15_000 })
  })

  it('a header that was signed has to be that of an access token (3,000)', async () => {
    let accepted = 0
    const cases = fc.asyncProperty(header, async (head) => {
      const { alg, typ, kid, crit } = JSON.parse(JSON.stringify(head)) as Record<string, unknown>
      const good = ALGORITHMS.slice(6, 8).includes(alg as string) && TYPES.slice(0, 2).includes(typ as string)
      const token = mine(head, claimsOf())
      const answer = await verdict(verify(token))
      assert.equal(answer, good && kid === 'k1' && crit === undefined)
      if (answer) accepted++
    })
    await fc.assert(cases, { numRuns: 3_000 })
    assert.ok(accepted > 10, 'some are good, or nothing was tried')
  })

  it('claims are read whole or not at all (12,000)', () => {
    const isText = (value: unknown) => typeof value === 'string' && value !== '' && value.length <= 2048
    const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
    const cases = fc.property(
      fc.oneof(spoilt(claimsOf({ cnf: { jkt: 'x' } })), fc.jsonValue()),
      (payload) => {
        try {
          const { iss, sub, aud, exp, iat, jti, sid, clientId, scope, authTime, acr, jkt, status } =
            readClaims(payload)
          for (const text of [iss, sub, jti, sid, clientId, ...aud, ...scope, acr ?? 'x', jkt ?? 'x'])
            assert.ok(isText(text))
          for (const number of [exp, iat, authTime ?? 0, status?.idx ?? 0]) assert.ok(isWhole(number))
          assert.ok(aud.length > 0 && (status === undefined || isText(status.uri)))
          assert.equal((payload as { cnf?: unknown }).cnf === undefined, jkt === undefined)
        } catch (error) {
          assert.ok(error instanceof TokenInvalid, `${error}`)
        }
      },
    )
    fc.assert(cases, { numRuns: 12_000 })
  })
})

describe('whatever a guard is shown', () => {
  let peer: Peer
  let guard: Guard
  let mine: Signer
  let good: string
  const asked = () =>
    peer.seen.filter(({ path }) => path === '/oauth/introspect' || path === '/oauth/jwks').length
  const isRefused = async (what: Promise<unknown>) => {
    const error = await what.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (error === undefined) return false
    assert.ok(error instanceof GuardError, `${error}`)
    assert.equal(error.code, 'AUTHENTICATION_FAILED')
    return true
  }
  before(async () => {
    peer = await startPeer()
    mine = await signerOf(peer.keys)
    guard = createGuard({
      issuer: peer.issuer,
      audience: AUDIENCE,
      credentials: CREDENTIALS,
      maxStaleness: 60_000,
    })
    await guard.ready()
    good = await peer.token()
  })
  after(async () => {
    guard.close()
    await peer.stop()
  })

  it('it refuses, and asks nobody (5,000)', async () => {
    await guard.check(good)
    const before = asked()
    const text = fc.oneof(
      changes.map((all) => mutate(good, all)),
      fc.string({ unit: 'binary' }),
      header.map((head) => `${encode(head)}.${encode(claimsOf())}.AAAA`),
    )
    const cases = fc.asyncProperty(
      text,
      fc.constantFrom('Bearer ', 'DPoP ', 'bearer', '', 'x'),
      async (token, scheme) => {
        assert.equal(await isRefused(guard.check(token)), token !== good)
        const header = { authorization: `${scheme}${token}`, dpop: token, method: 'GET', url: token }
        assert.equal(await isRefused(guard.checkRequest(header)), scheme !== 'Bearer ' || token !== good)
      },
    )
    await fc.assert(cases, { numRuns: 5_000 })
    assert.equal(asked(), before)
  })

  it('it takes what is signed only for this API, now, and with a bit (3,000)', async () => {
    let accepted = 0
    const base = { ...claimsOf(), iss: peer.issuer, auth_time: 1, acr: 'pwd' }
    const uri = `${peer.issuer}/status-lists/0`
    const place = fc.constantFrom(
      ...[
        { idx: 9, uri },
        { idx: 9, uri },
        { idx: LIST_SIZE, uri },
        { idx: 9, uri: LIST },
        { idx: -1, uri },
        undefined,
      ],
    )
    const times = fc.tuple(fc.integer({ min: -900, max: 900 }), fc.integer({ min: -900, max: 900 }))
    const cases = fc.asyncProperty(spoilt(base), place, times, async (claims, status_list, [iat, exp]) => {
      const all = { ...claims, status: { status_list }, iat: now() + iat, exp: now() + exp }
      const token = mine(HEADER, all)
      if (await isRefused(guard.check(token))) return
      const { aud } = claims
      const placed = status_list?.idx === 9 && status_list.uri === uri
      assert.ok(placed && iat <= 61 && exp >= -6 && claims.iss === peer.issuer && aud === AUDIENCE)
      accepted++
    })
    await fc.assert(cases, { numRuns: 3_000 })
    assert.ok(accepted > 10, 'some are good, or nothing was tried')
  })
})

describe('whatever a status list is made of', () => {
  let keys: Keys
  let mine: Signer
  let theirs: Signer
  const header = { alg: 'EdDSA', typ: 'statuslist+jwt', kid: 'k1' }
  const bytes = new Uint8Array(LIST_SIZE / 8).map((_, i) => (i * 31) % 251)
  const packed = deflateSync(bytes.subarray(0, 600))
  const bomb = deflateSync(new Uint8Array(1 << 20))
  const claims = (lst: unknown) => ({
    sub: LIST,
    iat: now(),
    exp: now() + 300,
    status_list: { bits: 1, lst },
  })
  const keyFor = async ({ kid }: { kid: string }) => {
    if (kid !== 'k1') throw new TokenInvalid('foreign')
    return keys.publicKey
  }
  const read = async (token: string) => {
    try {
      return await readStatusList(token, { uri: LIST, keyFor, now: Date.now() })
    } catch (error) {
      assert.ok(error instanceof Error && !(error instanceof assert.AssertionError))
      return undefined
    }
  }
  before(async () => {
    keys = await makeKeys('k1')
    mine = await signerOf(keys)
    theirs = await signerOf(await makeKeys('k1'))
  })

  it('a changed one is not believed (8,000)', async () => {
    const payload = claims(deflateSync(new Uint8Array([1])).toString('base64url'))
    const good = mine(header, payload)
    const pool = [good, theirs(header, payload), mine({ ...header, typ: 'at+jwt' }, payload)]
    assert.ok(await read(good))
    // The decoder of the signature passes over characters; what was signed is the same in any case.
    const signed = good.slice(0, good.lastIndexOf('.'))
    const cases = fc.asyncProperty(fc.nat(2), changes, async (which, all) => {
      const token = mutate(pool[which] as string, all)
      if (await read(token)) assert.equal(token.slice(0, token.lastIndexOf('.')), signed)
    })
    await fc.assert(cases, { numRuns: 8_000 })
  })

  it('what is packed in it is unpacked whole, within bounds, or not at all (5,000)', async () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })
    const cases = fc.asyncProperty(flips, fc.boolean(), fc.nat(20), async (all, isBomb, cut) => {
      const body = Buffer.from(isBomb ? bomb : packed)
      for (const [at, byte] of all) body[at % body.length] = byte
      const lst = body.subarray(0, cut === 0 ? undefined : body.length - cut + 10).toString('base64url')
      const list = await read(mine(header, claims(lst)))
      if (!list) return
      assert.ok(list.bytes.length <= LIST_SIZE / 8)
      assert.ok(inflateSync(Buffer.from(lst, 'base64url')).equals(list.bytes))
    })
    await fc.assert(cases, { numRuns: 5_000 })
    assert.equal(await read(mine(header, claims(bomb.toString('base64url')))), undefined)
    assert.ok(await read(mine(header, claims(packed.toString('base64url')))))
  })

  it('it says of itself what it has to say, or is none (4,000)', async () => {
    let accepted = 0
    const lst = packed.toString('base64url')
    const list = fc.oneof(fc.constant({ bits: 1, lst }), spoilt({ bits: 1, lst }), odd)
    const cases = fc.asyncProperty(
      spoilt({ ...claims(lst), rescind_seq: 7 }),
      list,
      async (own, status_list) => {
        const found = await read(mine(header, { ...own, status_list }))
        if (!found) return
        accepted++
        const { bits, lst: text } = status_list as Record<string, unknown>
        assert.deepEqual(
          [own.sub, bits, text, own.iat === undefined || own.exp === undefined],
          [LIST, 1, lst, false],
        )
        assert.ok(Number.isSafeInteger(found.seq) && found.seq >= 0)
      },
    )
    await fc.assert(cases, { numRuns: 4_000 })
    assert.ok(accepted > 10, 'some are good, or nothing was tried')
  })
})

describe('whatever a line of the feed is', () => {
  const place = { seq: 9, tag: 'abc_-DEF123', prev: 8, at: 1_700_000_000_000 }
  const MESSAGES: Record<string, unknown>[] = [
    { type: 'revocation', ...place, sid: 's1', jti: 't1', reason: 'user_logout', tokens: [0, 7] },
    { type: 'revocation', ...place, sid: 's1', reason: 'user_logout', tokens: [] },
    { type: 'ready', ...place, firstList: 0, guard: 'g1', resources: ['https://api.example'], kids: ['k1'] },
    { type: 'heartbeat', ...place, firstList: 0 },
    { type: 'keys', kids: ['k1'] },
    { type: 'reload' },
  ]
  const isText = (value: unknown) => typeof value === 'string' && value.length > 0 && value.length <= 256
  const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
  function check(message: FeedMessage) {
    const line = JSON.stringify(message)
    assert.equal(JSON.stringify(readMessage(line)), line)
    if (message.type === 'keys' || message.type === 'ready') assert.ok(message.kids.every(isText))
    if (message.type === 'keys' || message.type === 'reload') return
    assert.ok(
      isWhole(message.seq) && isWhole(message.prev) && isWhole(message.at) && message.prev <= message.seq,
    )
    if (message.type === 'cut-off') {
      const { reason, before, clientId = 'none' } = message
      return assert.ok(isText(reason) && isWhole(before) && isText(clientId))
    }
    if (message.type !== 'revocation') return assert.ok(isWhole(message.firstList))
    const { sid, jti = 'none', reason, tokens } = message
    assert.ok(isText(sid) && isText(jti) && isText(reason))
    assert.ok(tokens.every((index) => isWhole(index) && index < 2 ** 40))
  }
  function tryLine(line: string) {
    let message: FeedMessage
    try {
      message = readMessage(line)
    } catch (error) {
      return assert.ok(error instanceof Error)
    }
    check(message)
  }

  it('it is of the protocol, or refused: arbitrary JSON and text (20,000)', () => {
    fc.assert(fc.property(fc.oneof(fc.json({ maxDepth: 3 }), fc.string({ unit: 'binary' })), tryLine), {
      numRuns: 20_000,
    })
  })

  it('it is of the protocol, or refused: changed lines (25,000)', () => {
    const lines = MESSAGES.map((message) => JSON.stringify(message))
    const changed = fc.property(fc.nat(5), changes, (which, all) =>
      tryLine(mutate(lines[which] as string, all)),
    )
    fc.assert(changed, { numRuns: 25_000 })
  })

  it('it is of the protocol, or refused: fields of other kinds and of other messages (20,000)', () => {
    const mixed = fc.tuple(...MESSAGES.slice(0, 2).map(spoilt), fc.constantFrom(...MESSAGES), fc.boolean())
    const cases = fc.property(mixed, ([first, second, third, turned]) =>
      tryLine(JSON.stringify(turned ? Object.assign({}, first, third) : Object.assign({}, third, second))),
    )
    fc.assert(cases, { numRuns: 20_000 })
  })

  it('an acknowledgement is a number, or none (6,000)', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.tuple(fc.nat(), changes).map(([seq, all]) => mutate(writeAck(seq), all)),
    )
    const cases = fc.property(texts, (text) => {
      const seq = readAck(text)
      assert.ok(seq === undefined || (isWhole(seq) && text.replace(/:0+(?=\d)/, ':') === writeAck(seq)))
    })
    fc.assert(cases, { numRuns: 6_000 })
  })
})
