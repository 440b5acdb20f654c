import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import {
  AUDIENCE,
  CREDENTIALS,
  makeKeys,
  type Peer,
  refused,
  signToken,
  startPeer,
  until,
} from '../test/peer.ts'
import { GuardError } from './errors.ts'
import { createGuard, type Guard, type GuardOptions } from './guard.ts'
import { LIST_SIZE, listUri } from './status.ts'

const METADATA = 'https://api.example/.well-known/oauth-protected-resource'
const INVALID = `Bearer error="invalid_token", error_description="the access token is not valid", resource_metadata="${METADATA}"`

let peer: Peer
let guard: Guard

function start(options: Partial<GuardOptions> = {}): Guard {
  guard?.close()
  const own = { issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS }
  guard = createGuard({ ...own, resourceMetadata: METADATA, ...options })
  return guard
}
const isRefused = (token: string) =>
  guard.check(token).then(
    () => false,
    () => true,
  )

beforeEach(async () => {
  peer = await startPeer()
})
afterEach(async () => {
  guard.close()
  await peer.stop()
})

describe('the guard', () => {
  it('says at the start when the authority does not know its credentials', async () => {
    const errors: Error[] = []
    const credentials = { ...CREDENTIALS, clientSecret: 'another' }
    const wrong = start({ credentials, onError: (error) => errors.push(error) })
    const error = await refused(wrong.ready(), 'CONFIGURATION')
    assert.match(error.message, /does not take these `credentials`: check its clientId and clientSecret/)
    assert.doesNotMatch(error.message, /another/)
    assert.equal(errors[0], error)
  })

  it('says at the start when its credentials are those of another API, and trusts nothing then', async () => {
    peer.resources = ['https://other.example', 'https://more.example']
    const wrong = start({ onStale: 'deny' })
    const error = await refused(wrong.ready(), 'CONFIGURATION')
    const { host } = new URL(peer.issuer)
    const known = 'https://other.example, https://more.example'
    assert.equal(
      error.message,
      `\`audience\` is ${AUDIENCE}, but these \`credentials\` are, at ${host}, those of ${known}.`,
    )
    await refused(wrong.check(await peer.token()), 'UNAVAILABLE')
    assert.equal(wrong.state().live, false)
  })

  it('says at the start when there is something else than an authority', async () => {
    for (const [status, text] of [
      [404, '{"error":"nothing here"}'],
      [200, '<!doctype html><title>Welcome</title>'],
    ] as const) {
      const other = createServer((_, res) => res.writeHead(status).end(text))
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
      const issuer = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
      const error = await refused(start({ issuer, onError() {} }).ready(), 'CONFIGURATION')
      assert.equal(
        error.message,
        `${issuer}/status-lists is not there: \`issuer\` has to be the URL of a Rescind authority.`,
      )
      other.close()
    }
  })

  it('waits for an authority that is away, says so meanwhile, and is ready once it is there', async () => {
    const { port, keys } = peer
    await peer.stop()
    const errors: Error[] = []
    const waiting = start({ onError: (error) => errors.push(error) })
    await until(() => errors.length > 1)
    for (const error of errors) {
      assert.ok(error instanceof GuardError && error.code === 'UNAVAILABLE')
      assert.equal(
        error.message,
        `Not connected to the authority at ${peer.issuer}: ECONNREFUSED. Trying again.`,
      )
    }
    const warnings: Error[] = []
    const hear = (warning: Error) => warnings.push(warning)
    process.on('warning', hear)
    const silent = createGuard({ issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS })
    await new Promise((resolve) => setTimeout(resolve, 700))
    process.off('warning', hear)
    assert.deepEqual(
      warnings.filter(({ name }) => name === 'RescindGuard').map(({ message }) => message),
      [errors[0]?.message],
    )
    peer = await startPeer({ port, keys })
    await Promise.all([waiting.ready(), silent.ready()])
    silent.close()
  })

  it('lets a live token through without asking anyone about it', async () => {
    await start().ready()
    const session = await guard.check(await peer.token(), { scope: ['notes:read'] })
    assert.deepEqual(
      [session.sub, session.sid, session.clientId, session.scope, session.signal.aborted],
      ['ann', 's1', 'app', ['notes:read', 'notes:write'], false],
    )
    assert.equal(peer.seen.filter(({ path }) => path === '/oauth/introspect').length, 0)
  })

  it('refuses a revoked token, and every token of an ended session; others live on', async () => {
    await start().ready()
    const one = await peer.token()
    const two = await peer.token({ jti: 't2' })
    const other = await peer.token({ jti: 't3', sid: 's2' })
    await guard.check(one)
    peer.revoke({ sid: 's1', jti: 't1' })
    await until(() => isRefused(one))
    await refused(guard.check(one), 'AUTHENTICATION_FAILED', INVALID)
    const { signal } = await guard.check(two)
    peer.revoke({ sid: 's1', reason: 'account_compromise' })
    await until(() => signal.aborted)
    assert.equal(signal.reason.reason, 'account_compromise')
    const error = await refused(guard.check(two), 'AUTHENTICATION_FAILED', INVALID)
    assert.equal(error.reason, 'account_compromise', 'the API may know why')
    assert.doesNotMatch(JSON.stringify([error, error.headers]), /compromise/, 'its callers not')
    await guard.check(other)
  })

  it('knows what was revoked before it started, and while it was away', async () => {
    const [one, two] = [await peer.token(), await peer.token({ sid: 's2', jti: 't2' })]
    peer.revoke({ sid: 's1' })
    await start().ready()
    await refused(guard.check(one), 'AUTHENTICATION_FAILED', INVALID)
    await guard.check(two)
    peer.cut()
    peer.revokeUnheard({ sid: 's2' })
    await until(() => isRefused(two))
  })

  it('reads the lists again when the log does not reach back: what died meanwhile is dead, and is closed', async () => {
    await start().ready()
    const { signal } = await guard.check(await peer.token())
    const closed: string[] = []
    const session = await guard.check(await peer.token())
    guard.connections.add(session, (reason) => closed.push(reason))
    signal.addEventListener('abort', () => closed.push('aborted'))
    peer.revokeUnheard({ sid: 's1' })
    peer.logStart = 2
    peer.cut()
    await until(() => closed.length === 2)
    assert.deepEqual(closed.sort(), ['aborted', 'revoked'])
    assert.equal(signal.reason.reason, 'revoked', 'why, nobody has said')
    await refused(guard.check(await peer.token()), 'AUTHENTICATION_FAILED', INVALID)
  })

  it('tells who listens of each session that ends, not of single tokens', async () => {
    await start().ready()
    const heard: unknown[] = []
    guard.on('session-ended', () => {
      throw new Error('mine')
    })
    const stop = guard.on('session-ended', (ended) => heard.push(ended))
    peer.revoke({ sid: 's1', jti: 't1' })
    peer.revoke({ sid: 's2', reason: 'token_reuse' })
    await until(() => heard.length > 0)
    assert.deepEqual(heard, [{ sid: 's2', reason: 'token_reuse', seq: 2 }])
    stop()
    const { signal } = await guard.check(await peer.token({ sid: 's3', jti: 't3' }))
    peer.revoke({ sid: 's3' })
    await until(() => signal.aborted)
    assert.equal(heard.length, 1)
  })

  it('says how it is: not live before it has heard anything, live after, and where the log is', async () => {
    peer.feed = 'refused'
    start()
    assert.deepEqual(guard.state(), { live: false, silentFor: Infinity, seq: 0 })
    peer.feed = 'open'
    await guard.ready()
    peer.revoke({ sid: 's1' })
    await until(() => guard.state().seq === 1)
    const { live, silentFor } = guard.state()
    assert.ok(live && silentFor >= 0 && silentFor <= 5_000, `${silentFor}`)
  })

  it('closes connections that outlive their tokens', async () => {
    await start({ expiryGrace: 0 }).ready()
    const exp = Math.floor(Date.now() / 1000) + 2
    const session = await guard.check(await peer.token({ exp }))
    const lasting = await guard.check(await peer.token({ sid: 's2', jti: 't2' }))
    const closed: string[] = []
    guard.connections.add(lasting, (reason) => closed.push(`lasting: ${reason}`))
    guard.connections.add(session, (reason) => closed.push(reason))
    assert.equal(guard.connections.size, 2)
    await until(() => closed.length > 0)
    assert.deepEqual([closed, guard.connections.size], [['token_expired'], 1])
    assert.ok(Date.now() >= exp * 1000)
  })

  it('asks for a token without blaming one, when there is none', async () => {
    await start().ready()
    const challenge = `Bearer resource_metadata="${METADATA}"`
    for (const authorization of [undefined, '', 'Basic YTpi', 'Digest x', 'Bearerx abc'])
      await refused(guard.checkRequest({ authorization }), 'AUTHENTICATION_FAILED', challenge)
    await start({ resourceMetadata: undefined }).ready()
    await refused(guard.checkRequest({}), 'AUTHENTICATION_FAILED', 'Bearer')
  })

  it('refuses what is not exactly one token, not for this API, expired, or of somebody else', async () => {
    await start().ready()
    const good = await peer.token()
    for (const after of ['', ' ', ` ${good} `, ` ${good} ${good}`, ` ${good}, Bearer ${good}`, ` ${good},`]) {
      const asked = guard.checkRequest({ authorization: `Bearer${after}` })
      await refused(asked, 'AUTHENTICATION_FAILED', INVALID)
    }
    const now = Math.floor(Date.now() / 1000)
    const tokens = [
      await peer.token({ aud: 'https://other.example' }),
      await peer.token({ iat: now - 700, exp: now - 100 }),
      await peer.token({ iat: now + 100 }),
      await peer.token({ iss: 'https://evil.example' }),
      await peer.token({}, { typ: 'JWT' }),
      await signToken(await makeKeys('k1'), { iss: peer.issuer }),
      `${good}x`,
      'x'.repeat(9000),
      '',
    ]
    for (const token of tokens) {
      const error = await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
      const shown = JSON.stringify([error, error.message, error.stack, error.headers])
      assert.ok(token === '' || !shown.includes(token))
    }
    for (const odd of [undefined, null, 7, {}, []])
      await refused(guard.check(odd as never), 'AUTHENTICATION_FAILED', INVALID)
    assert.ok(await guard.checkRequest({ authorization: `bearer ${good}` }))
  })

  it('refuses a genuine token that has no bit, or another authority’s: nobody could revoke it', async () => {
    await start().ready()
    const at = (uri: string, idx: unknown = 0) => ({ status: { status_list: { idx, uri } } })
    const claims = [
      { status: undefined },
      at('https://evil.example/status-lists/0'),
      at(`${listUri(peer.issuer, 0)}/`),
      at(listUri(peer.issuer, 0), LIST_SIZE),
      at(`${peer.issuer}/status-lists/00`),
    ]
    for (const one of claims)
      await refused(guard.check(await peer.token(one)), 'AUTHENTICATION_FAILED', INVALID)
  })

  it('refuses tokens of lists that the authority has retired', async () => {
    await start().ready()
    peer.firstList = 1
    let made = 0
    await until(async () => isRefused(await peer.token({ sid: 's2', jti: `new${made++}` })))
    await guard.check(await peer.token({ status: { status_list: { idx: 0, uri: listUri(peer.issuer, 1) } } }))
  })

  it('wants all the scopes that a request needs', async () => {
    await start().ready()
    const token = await peer.token({ scope: 'notes:read' })
    for (let i = 0; i < 2; i++) {
      const error = await refused(
        guard.check(token, { scope: ['notes:read', 'notes:write'] }),
        'INSUFFICIENT_SCOPE',
        `Bearer error="insufficient_scope", scope="notes:read notes:write", resource_metadata="${METADATA}"`,
      )
      assert.equal(error.status, 403)
    }
    await guard.check(token, { scope: [] })
    await refused(guard.check(token, { scope: ['notes'] }), 'INSUFFICIENT_SCOPE')
    await refused(guard.check(token, { scope: [''] }), 'INSUFFICIENT_SCOPE')
  })

  it('gives all requests with a token one session that none of them can change', async () => {
    await start().ready()
    const token = await peer.token({ scope: 'notes:read' })
    const session = await guard.check(token)
    for (const part of [session, session.scope, session.aud, session.status])
      assert.ok(Object.isFrozen(part), JSON.stringify(part))
    assert.throws(() => (session.scope as string[]).push('notes:write'), TypeError)
    assert.throws(() => Object.assign(session, { sub: 'bob' }), TypeError)
    await refused(guard.check(token, { scope: ['notes:write'] }), 'INSUFFICIENT_SCOPE')
    assert.equal(await guard.check(token), session)
  })

  it('gives a signal that is aborted already for a session that has ended meanwhile', async () => {
    await start().ready()
    const session = await guard.check(await peer.token())
    peer.revoke({ sid: 's1', reason: 'device_removed' })
    await until(() => guard.state().seq === 1)
    const { signal } = session
    assert.ok(signal.aborted)
    assert.ok(signal.reason instanceof GuardError)
    assert.deepEqual(
      [signal.reason.code, signal.reason.status, signal.reason.reason],
      ['AUTHENTICATION_FAILED', 401, 'device_removed'],
    )
    const closed: string[] = []
    guard.connections.add(session, (reason) => closed.push(reason))
    assert.deepEqual([closed, guard.connections.size], [['device_removed'], 0])
  })

  it('forgets tokens that it has verified, and verifies them again', async () => {
    await start({ cacheSize: 2 }).ready()
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => peer.token({ jti: `t${i}` })))
    for (const token of [...tokens, ...tokens]) await guard.check(token)
    peer.revoke({ sid: 's1' })
    await until(() => guard.state().seq === 1)
    for (const token of tokens) await refused(guard.check(token), 'AUTHENTICATION_FAILED', INVALID)
  })

  it('works with an issuer that is configured with a slash at its end', async () => {
    await start({ issuer: `${peer.issuer}/` }).ready()
    await guard.check(await peer.token())
  })

  it('hears nothing more after it was closed, and refuses once its memory is old', async () => {
    await start({ maxStaleness: 200, onStale: 'deny' }).ready()
    const token = await peer.token()
    await guard.check(token)
    guard.close()
    await until(() => isRefused(token))
    await refused(guard.check(token), 'UNAVAILABLE')
    assert.equal(guard.state().live, false)
  })

  it('is not made with settings that can’t hold', () => {
    const numbers = [Number.NaN, -1, Number.POSITIVE_INFINITY, '5000']
    const bad: Record<string, unknown>[] = [
      ...['login.example', '', 'ftp://login.example', 'ws://localhost', undefined].map((issuer) => ({
        issuer,
      })),
      ...['login.example', '10.0.0.1', 'localhost.evil.example', '127.0.0.1.evil.example', '[::2]'].map(
        (host) => ({ issuer: `http://${host}` }),
      ),
      { audience: '' },
      { credentials: { clientId: 'a', clientSecret: '' } },
      { credentials: undefined },
      ...[...numbers, 0].map((maxStaleness) => ({ maxStaleness })),
      ...numbers.map((expiryGrace) => ({ expiryGrace })),
      ...[...numbers, 0, 1.5].map((cacheSize) => ({ cacheSize })),
      { onStale: 'allow' },
      { resourceMetadata: 'https://a.example/"\r\nx: y' },
      { resourceMetadata: 'javascript:x' },
    ]
    for (const options of bad) {
      assert.throws(
        () => start(options),
        (error) => error instanceof GuardError && error.code === 'CONFIGURATION' && error.status === 500,
        JSON.stringify(options),
      )
    }
    for (const issuer of ['http://localhost:1', 'http://[::1]:1', 'https://login.example:1'])
      start({ issuer })
  })
})

describe('a request that needs a better sign-in (RFC 9470)', () => {
  const now = () => Math.floor(Date.now() / 1000)
  const challenge = (rest: string) =>
    'Bearer error="insufficient_user_authentication", ' +
    `error_description="a more recent or a stronger sign-in is needed", ${rest}, resource_metadata="${METADATA}"`
  const code = 'INSUFFICIENT_USER_AUTHENTICATION'

  it('is refused with what is needed: a stronger one', async () => {
    await start().ready()
    const needs = { acrValues: ['mfa', 'phr'] }
    for (const acr of [undefined, 'pwd', 'MFA', 'mfa phr']) {
      const token = await peer.token({ acr })
      // Twice: the first time it is verified, the second time it is known.
      for (let i = 0; i < 2; i++) {
        const error = await refused(guard.check(token, needs), code, challenge('acr_values="mfa phr"'))
        assert.equal(error.status, 401)
      }
    }
    for (const acr of needs.acrValues) await guard.check(await peer.token({ acr }), needs)
    await refused(guard.check(await peer.token({ acr: 'mfa' }), { acrValues: [] }), code)
  })

  it('is refused with what is needed: a more recent one', async () => {
    await start().ready()
    for (const auth_time of [undefined, now() - 310]) {
      const token = await peer.token({ auth_time })
      for (let i = 0; i < 2; i++)
        await refused(guard.check(token, { maxAge: 300 }), code, challenge('max_age="300"'))
    }
    const recent = await peer.token({ auth_time: now() - 200 })
    for (let i = 0; i < 2; i++) await guard.check(recent, { maxAge: 300 })
    await refused(guard.check(recent, { maxAge: 0 }), code, challenge('max_age="0"'))
  })

  it('is refused when one of two needs is met', async () => {
    await start().ready()
    const needs = { acrValues: ['mfa'], maxAge: 300 }
    const both = challenge('acr_values="mfa", max_age="300"')
    await refused(guard.check(await peer.token({ acr: 'mfa', auth_time: 1 }), needs), code, both)
    await refused(guard.check(await peer.token({ acr: 'pwd', auth_time: now() }), needs), code, both)
    const good = await peer.token({ acr: 'mfa', auth_time: now() })
    await guard.check(good, needs)
    await refused(guard.check(good, { ...needs, scope: ['admin'] }), 'INSUFFICIENT_SCOPE')
  })

  it('is told of its token’s death, not of a better sign-in', async () => {
    await start().ready()
    const token = await peer.token({ acr: 'pwd' })
    await refused(guard.check(token, { acrValues: ['mfa'] }), code)
    peer.revoke({ sid: 's1' })
    await until(() => guard.state().seq === 1)
    const error = await refused(guard.check(token, { acrValues: ['mfa'] }), 'AUTHENTICATION_FAILED', INVALID)
    assert.equal(error.reason, 'user_logout')
  })
})
