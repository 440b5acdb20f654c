import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { before, describe, it } from 'node:test'
import { CompactSign, exportSPKI } from 'jose'
import { type Keys, makeKeys, signToken } from '../test/peer.ts'
import { type InvalidReason, TokenInvalid } from './claims.ts'
import { createVerifier } from './verify.ts'

const ISSUER = 'https://login.example'
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
let keys: Keys
let asked = 0

function verifier(options: { now?: () => number; cacheSize?: number } = {}) {
  asked = 0
  const keyFor = async ({ kid }: { kid: string }) => {
    asked++
    if (kid !== 'k1') throw new TokenInvalid('foreign')
    return keys.publicKey
  }
  return createVerifier({ issuer: ISSUER, keyFor, ...options })
}

const token = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
  signToken(keys, { iss: ISSUER, ...claims }, header)

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

async function refused(what: Promise<unknown>, reason?: InvalidReason, message?: string) {
  await assert.rejects(
    what,
    (error) => error instanceof TokenInvalid && (reason === undefined || error.reason === reason),
    message,
  )
}

describe('the verifier', () => {
  before(async () => {
    keys = await makeKeys('k1')
  })

  it('takes a token of ours, under each name of the algorithm and the type', async () => {
    const { verify } = verifier()
    assert.equal((await verify(await token())).sub, 'ann')
    assert.equal((await verify(await token({ jti: 't2' }, { alg: 'Ed25519' }))).jti, 't2')
    assert.equal((await verify(await token({ jti: 't3' }, { typ: 'application/at+jwt' }))).jti, 't3')
  })

  it('refuses a token with one changed character, at every position', async () => {
    const good = await token()
    const { verify } = verifier()
    await verify(good)
    for (let at = 0; at < good.length; at++) {
      for (const other of [ALPHABET[(ALPHABET.indexOf(good[at] as string) + 1) % 64], '.', '=', '+', ' ']) {
        if (other === good[at]) continue
        await refused(verify(good.slice(0, at) + other + good.slice(at + 1)), undefined, `${other} at ${at}`)
      }
    }
    for (const other of [`${good}=`, ` ${good}`, `${good}\n`, `${good}A`, good.slice(0, -1), good.slice(1)])
      await refused(verify(other))
  })

  it('refuses every other spelling of the last character of each part', async () => {
    const good = await token()
    const { verify } = verifier()
    const ends = [good.indexOf('.') - 1, good.lastIndexOf('.') - 1, good.length - 1]
    // Spellings of the same bytes would carry the same signature: only the canonical one may pass.
    const same = [...ALPHABET].filter((char) => {
      const bytes = Buffer.from(good.slice(good.lastIndexOf('.') + 1, -1) + char, 'base64url')
      return bytes.equals(Buffer.from(good.slice(good.lastIndexOf('.') + 1), 'base64url'))
    })
    assert.equal(same.length, 16)
    for (const end of ends) {
      for (const char of ALPHABET) {
        if (char !== good[end]) await refused(verify(good.slice(0, end) + char + good.slice(end + 1)))
      }
    }
    await verify(good)
  })

  it('refuses no algorithm, symmetric ones, and a public key that is used as a secret', async () => {
    const { verify } = verifier()
    const payload = (await token()).split('.')[1]
    for (const alg of ['none', 'None', 'NONE', '']) {
      const header = encode({ alg, typ: 'at+jwt', kid: 'k1' })
      await refused(verify(`${header}.${payload}.`), 'malformed')
      await refused(verify(`${header}.${payload}.AAAA`), 'malformed')
    }
    const secrets = [await exportSPKI(keys.publicKey), `${keys.jwk.x}`, JSON.stringify(keys.jwk)].map(
      (text) => Buffer.from(text),
    )
    secrets.push(Buffer.from(`${keys.jwk.x}`, 'base64url'))
    for (const secret of secrets) {
      const signed = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: 'k1' })}.${payload}`
      const mac = createHmac('sha256', secret).update(signed).digest('base64url')
      await refused(verify(`${signed}.${mac}`), 'malformed')
    }
    assert.equal(asked, 0, 'no key was even looked for')
  })

  it('refuses other types, critical extensions, and headers without a key’s name', async () => {
    const { verify } = verifier()
    for (const typ of ['JWT', 'dpop+jwt', 'logout+jwt', 'AT+JWT', undefined])
      await refused(verify(await token({}, { typ })), 'malformed')
    for (const kid of [undefined, '', 7, 'x'.repeat(201)])
      await refused(verify(await token({}, { kid: kid as string })), 'malformed')
    const payload = (await token()).split('.')[1]
    for (const odd of [{ toString: 'x' }, ['EdDSA'], ['at+jwt'], null, 7, { __proto__: null }]) {
      for (const header of [{ alg: odd }, { typ: odd }, { kid: odd }]) {
        const head = encode({ alg: 'EdDSA', typ: 'at+jwt', kid: 'k1', ...header })
        await refused(verify(`${head}.${payload}.AAAA`), 'malformed')
      }
    }
    const crit = new CompactSign(Buffer.from('{}')).setProtectedHeader({
      ...{ alg: 'EdDSA', typ: 'at+jwt', kid: 'k1', b64: true, crit: ['b64'] },
    })
    await refused(verify(await crit.sign(keys.privateKey)), 'malformed')
    assert.equal(asked, 0)
  })

  it('refuses other issuers, unknown keys and the signatures of other keys', async () => {
    const { verify } = verifier()
    for (const iss of [`${ISSUER}/`, 'https://LOGIN.example', 'https://evil.example'])
      await refused(verify(await token({ iss })), 'foreign')
    await refused(verify(await token({}, { kid: 'k2' })), 'foreign')
    await refused(verify(await signToken(await makeKeys('k1'), { iss: ISSUER })), 'signature')
  })

  it('refuses what is no token at all', async () => {
    const { verify } = verifier()
    const odd = ['', '.', '..', '...', 'a.b', 'a.b.c.d', `${encode([])}.e30.AAAA`, `${encode(null)}.e30.AAAA`]
    const good = await token()
    odd.push(`${good}.`, `${good}.AAAA`, good.slice(0, good.lastIndexOf('.')))
    for (const text of [...odd, undefined, null, 7, {}, []])
      await refused(verify(text as string), 'malformed')
  })

  it('refuses a token that is longer than 8192 characters, however genuine', async () => {
    const { verify } = verifier()
    assert.ok((await verify(await token({ pad: 'x'.repeat(5000) }))).jti)
    await refused(verify(await token({ pad: 'x'.repeat(7000) })), 'malformed')
  })

  it('refuses a genuine token whose claims are not ours', async () => {
    await refused(verifier().verify(await token({ sid: undefined })), 'malformed')
  })

  it('looks at the times at each call, with 5 s for clocks that differ', async () => {
    let time = 1_700_000_000_000
    const { verify } = verifier({ now: () => time })
    const [iat, exp] = [1_700_000_000, 1_700_000_600]
    const good = await token({ iat, exp })
    await verify(good)
    time = (exp + 4.9) * 1000
    await verify(good)
    time = (exp + 5) * 1000
    await refused(verify(good), 'expired')
    assert.equal((await verify(good, { anyTime: true })).exp, exp)
    await refused(verify(good), 'expired')
    time = (iat - 60) * 1000
    await verify(good)
    time = (iat - 61) * 1000
    await refused(verify(good), 'malformed')
    assert.equal((await verify(good, { anyTime: true })).iat, iat)
  })

  it('looks at the audience at each call, where one is asked for', async () => {
    const { verify } = verifier()
    const good = await token({ aud: ['https://a.example', 'https://b.example'] })
    await verify(good)
    await verify(good, { audience: 'https://b.example' })
    await refused(verify(good, { audience: 'https://c.example' }), 'audience')
    await refused(verify(good, { audience: 'https://a.example/' }), 'audience')
    await verify(good, { audience: 'https://a.example' })
  })

  it('checks a signature once, and never remembers a refusal', async () => {
    const { verify } = verifier()
    const good = await token()
    await verify(good)
    await verify(good)
    assert.equal(asked, 1)
    const bad = await signToken(await makeKeys('k1'), { iss: ISSUER })
    await refused(verify(bad), 'signature')
    await refused(verify(bad), 'signature')
    assert.equal(asked, 3)
  })

  it('answers the same to many that ask at once', async () => {
    const { verify } = verifier()
    const good = await token()
    const bad = await signToken(await makeKeys('k1'), { iss: ISSUER })
    const all = await Promise.allSettled(Array.from({ length: 100 }, (_, i) => verify(i % 2 ? bad : good)))
    all.forEach(({ status }, i) => {
      assert.equal(status, i % 2 ? 'rejected' : 'fulfilled')
    })
  })

  it('remembers as many tokens as it is told to, and no more than twice as many', async () => {
    const { verify } = verifier({ cacheSize: 2 })
    const tokens = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((jti) => token({ jti })))
    for (const one of tokens) await verify(one)
    assert.equal(asked, 5)
    await verify(tokens[4] as string)
    await verify(tokens[3] as string)
    assert.equal(asked, 5)
    assert.equal((await verify(tokens[0] as string)).jti, 'a')
    assert.equal(asked, 6)
  })

  it('remembers what it is given, without asking for a key', async () => {
    const other = verifier()
    const good = await token()
    const claims = await other.verify(good)
    const { verify, remember } = verifier()
    remember(good, claims)
    assert.equal((await verify(good)).jti, 't1')
    assert.equal(asked, 0)
  })
})
