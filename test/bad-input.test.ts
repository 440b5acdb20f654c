import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { SignJWT } from 'jose'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refresh, signIn, type Tokens } from './sign-in.ts'
import { callTool } from './tool.ts'

/* Whatever comes in: an error in the contract's form, no stack, no token echoed, nothing changed. */

describe('bad input', () => {
  let authority: TestAuthority
  let tokens: Tokens
  before(async () => {
    authority = await startTestAuthority()
    tokens = await signIn(authority.issuer)
  })
  after(() => authority.stop())

  async function unharmed() {
    assert.equal(await lives(authority.issuer, tokens.access_token), true, 'the session was harmed')
  }
  function wellFormed(text: string, given: string) {
    const body = JSON.parse(text) as Record<string, unknown>
    assert.deepEqual(Object.keys(body).sort(), ['code', 'error'])
    assert.doesNotMatch(text, /\bat .*:\d+:\d+|node_modules|\.ts\b/, 'a stack got out')
    if (given.length > 20) assert.ok(!text.includes(given.slice(0, 20)), 'the token was echoed')
    return body as { error: string; code: string }
  }

  function forgeries(): Record<string, string> {
    const [header = '', payload = '', signature = ''] = tokens.access_token.split('.')
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const none = `${encode({ alg: 'none', typ: 'at+jwt' })}.${payload}.`
    const hmacHeader = encode({ ...JSON.parse(atob(header)), alg: 'HS256' })
    const hmac = createHmac('sha256', 'public key').update(`${hmacHeader}.${payload}`).digest('base64url')
    return {
      'an empty string': '',
      'plain text': 'nonsense',
      'NUL bytes': `\0${tokens.access_token}\0`,
      'alg none': none,
      'alg none, old signature': `${none}${signature}`,
      HS256: `${hmacHeader}.${payload}.${hmac}`,
      'no signature': `${header}.${payload}.`,
      'another payload': `${header}.${encode({ ...JSON.parse(atob(payload)), sub: 'somebody' })}.${signature}`,
      'white space': ` ${tokens.access_token}`,
      'a refresh token': tokens.refresh_token,
      'a logout ticket': tokens.logout_ticket,
      'an id token': `${tokens.id_token}`,
      'a path': '../../etc/passwd',
      SQL: "' OR 1=1 --",
    }
  }

  for (const name of ['/v1/revoke', 'the tool']) {
    const ask = async (input: unknown) => {
      if (name === 'the tool') {
        const result = await callTool(authority.issuer, 'revoke_oauth_tokens', input)
        assert.equal(result.isError, true)
        assert.equal(result.structuredContent, undefined)
        return `${result.content[0]?.text}`
      }
      const response = await post(`${authority.issuer}/v1/revoke`, input)
      assert.ok(response.status >= 400 && response.status < 500, `${response.status}`)
      return response.text()
    }

    it(`${name}: tokens that are not ours`, async () => {
      for (const [what, token] of Object.entries(forgeries())) {
        const { code } = wellFormed(await ask({ accessToken: token }), token)
        assert.equal(code, token === '' ? 'VALIDATION_ERROR' : 'INVALID_TOKEN', what)
        if (what !== 'a refresh token' && token !== '') {
          const pair = { accessToken: tokens.access_token, refreshToken: token }
          assert.equal(wellFormed(await ask(pair), token).code, 'INVALID_TOKEN', what)
        }
      }
      await unharmed()
    })

    it(`${name}: a token of another issuer, and one that names our issuer`, async () => {
      const { privateKey } = generateKeyPairSync('ed25519')
      const [header = '', payload = ''] = tokens.access_token
        .split('.')
        .map((part) => part && atob(part.replaceAll('-', '+').replaceAll('_', '/')).toString())
      for (const iss of ['https://evil.example', authority.issuer]) {
        const claims = { ...JSON.parse(payload), iss }
        const forged = await new SignJWT(claims).setProtectedHeader(JSON.parse(header)).sign(privateKey)
        assert.equal(wellFormed(await ask({ accessToken: forged }), forged).code, 'INVALID_TOKEN')
      }
      await unharmed()
    })

    it(`${name}: fields that are missing, of another type, too long or unknown`, async () => {
      const cases: [unknown, RegExp][] = [
        [{}, /accessToken/],
        [{ accessToken: 42 }, /accessToken/],
        [{ accessToken: null }, /accessToken/],
        [{ accessToken: [tokens.access_token] }, /accessToken/],
        [{ accessToken: { toString: 'x' } }, /accessToken/],
        [{ accessToken: 'x'.repeat(10_000) }, /accessToken.*8192/],
        [{ accessToken: tokens.access_token, refreshToken: 7 }, /refreshToken/],
        [{ accessToken: tokens.access_token, refreshToken: '' }, /refreshToken/],
        [{ accessToken: tokens.access_token, extra: 1 }, /extra/],
        [{ accessToken: tokens.access_token, constructor: 1 }, /constructor/],
      ]
      for (const [input, named] of cases) {
        const { code, error } = wellFormed(await ask(input), tokens.access_token)
        assert.equal(code, 'VALIDATION_ERROR')
        assert.match(error, named)
      }
      await unharmed()
    })
  }

  it('one flipped character anywhere is another token', async () => {
    // The budget for refused revocations is per address, so this asks where none is spent.
    for (const token of [tokens.access_token]) {
      for (let i = 0; i < token.length; i += 7) {
        const other = token[i] === 'A' ? 'B' : 'A'
        assert.equal(
          await lives(authority.issuer, token.slice(0, i) + other + token.slice(i + 1)),
          false,
          `at ${i}`,
        )
      }
    }
    await unharmed()
  })

  it('wrong content types, broken JSON, no body, not an object', async () => {
    const url = `${authority.issuer}/v1/revoke`
    const json = { 'content-type': 'application/json' }
    const good = JSON.stringify({ accessToken: tokens.access_token })
    const cases: [RequestInit, number, string][] = [
      [
        { method: 'POST', headers: { 'content-type': 'text/plain' }, body: good },
        415,
        'UNSUPPORTED_MEDIA_TYPE',
      ],
      [{ method: 'POST', body: new URLSearchParams({ accessToken: 'x' }) }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
      [{ method: 'POST', headers: json, body: '{' }, 400, 'VALIDATION_ERROR'],
      [{ method: 'POST', headers: json, body: '' }, 400, 'VALIDATION_ERROR'],
      [{ method: 'POST', headers: json, body: '[]' }, 400, 'VALIDATION_ERROR'],
      [{ method: 'POST', headers: json, body: 'null' }, 400, 'VALIDATION_ERROR'],
      [{ method: 'POST', headers: json, body: Buffer.from([0xff, 0xfe, 0x7b]) }, 400, 'VALIDATION_ERROR'],
      [{ method: 'GET' }, 405, 'VALIDATION_ERROR'],
    ]
    for (const [init, status, code] of cases) {
      const response = await fetch(url, init)
      assert.equal(response.status, status)
      assert.equal(wellFormed(await response.text(), good).code, code)
    }
    await unharmed()
  })

  it('a body of 1 MB is refused before it is read whole, declared or not', async () => {
    const big = JSON.stringify({ accessToken: 'x'.repeat(1024 * 1024) })
    for (const path of ['/v1/revoke', '/oauth/revoke', '/mcp', '/oauth/token']) {
      const declared = await fetch(authority.issuer + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        body: big,
      }).catch(() => undefined)
      if (declared) assert.equal(declared.status, 413, path)
    }
    const undeclared = await chunked(`${authority.issuer}/v1/revoke`, 40)
    assert.equal(undeclared.status, 413)
    assert.ok(undeclared.sent < 40, 'it went on reading')
    await unharmed()
  })

  it('a foreign Host header is not answered', async () => {
    const { hostname, port } = new URL(authority.url)
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = { host: 'evil.example', 'content-type': 'application/json' }
      const req = request({ hostname, port, path: '/v1/session', headers }, (res) => {
        res.resume()
        resolve(res.statusCode)
      })
      req.on('error', reject).end()
    })
    assert.equal(status, 404)
  })

  it('guessing is slowed down, logging out is not', async () => {
    const other = await startTestAuthority()
    const mine = await signIn(other.issuer)
    let limited: Response | undefined
    for (let i = 0; i < 100 && !limited; i++) {
      const response = await post(`${other.issuer}/v1/revoke`, { accessToken: `guess-${i}` })
      if (response.status === 429) limited = response
    }
    assert.ok(limited, 'a hundred guesses were all answered')
    assert.ok(Number(limited.headers.get('retry-after')) > 0)
    assert.equal(((await limited.json()) as { code: string }).code, 'RATE_LIMITED')
    other.advance(120_000)
    const logout = { accessToken: mine.access_token, refreshToken: mine.refresh_token }
    assert.equal((await post(`${other.issuer}/v1/revoke`, logout)).status, 200)
    await other.stop()
  })

  it('and the session can still be used', async () => {
    await unharmed()
    assert.equal((await refresh(authority.issuer, tokens.refresh_token)).status, 200)
  })
})

/** Sends 64 KiB chunks without a length until it is answered. */
function chunked(url: string, chunks: number): Promise<{ status: number | undefined; sent: number }> {
  return new Promise((resolve, reject) => {
    let sent = 0
    let answered = false
    const req = request(url, { method: 'POST', headers: { 'content-type': 'application/json' } }, (res) => {
      answered = true
      res.resume()
      resolve({ status: res.statusCode, sent })
    })
    req.on('error', (error) => answered || reject(error))
    const next = () => {
      if (answered || sent >= chunks) return req.end()
      sent++
      req.write('x'.repeat(64 * 1024))
      setTimeout(next, 20)
    }
    next()
  })
}
