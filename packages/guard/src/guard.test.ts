import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { AUDIENCE, CREDENTIALS, makeKeys, type Peer, signToken, startPeer, until } from '../test/peer.ts'
import { GuardError, type GuardErrorCode } from './errors.ts'
import { createGuard, type Guard, type GuardOptions } from './guard.ts'

const METADATA = 'https://api.example/.well-known/oauth-protected-resource'

let peer: Peer
let guard: Guard
let skew = 0

function start(options: Partial<GuardOptions> = {}): Guard {
  guard?.close()
  const now = () => Date.now() + skew
  const own = { issuer: peer.issuer, audience: AUDIENCE, credentials: CREDENTIALS }
  guard = createGuard({ ...own, resourceMetadata: METADATA, now, ...options })
  return guard
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

async function refusal(what: Promise<unknown>): Promise<GuardError> {
  const error = await what.then(
    () => assert.fail('it was let through'),
    (error: unknown) => error,
  )
  assert.ok(error instanceof GuardError, `${error}`)
  return error
}
async function refused(
  what: Promise<unknown>,
  code: GuardErrorCode,
  challenge?: string,
): Promise<GuardError> {
  const error = await refusal(what)
  assert.equal(error.code, code)
  if (challenge !== undefined) assert.equal(error.headers['www-authenticate'], challenge)
  return error
}
const INVALID = `Bearer error="invalid_token", error_description="the access token is not valid", resource_metadata="${METADATA}"`

beforeEach(async () => {
  skew = 0
  peer = await startPeer()
})
afterEach(async () => {
  guard.close()
  await peer.stop()
})

describe('the guard', () => {
  it('says at the start when the authority does not know its credentials', async () => {
    const wrong = start({ credentials: { ...CREDENTIALS, clientSecret: 'another' } })
    const error = await refusal(wrong.ready())
    assert.equal(error.code, 'CONFIGURATION')
    assert.match(error.message, /does not know this API: check `credentials`/)
  })

  it('lets a live token through without asking anyone about it', async () => {
    await start().ready()
    const session = await guard.check({ ...bearer(await peer.token()), scope: ['notes:read'] })
    assert.deepEqual(
      [session.sub, session.sid, session.clientId, session.scope, session.signal.aborted],
      ['ann', 's1', 'app', ['notes:read', 'notes:write'], false],
    )
    assert.equal(peer.seen.filter(({ path }) => path === '/oauth/introspect').length, 0)
  })

  it('refuses a revoked token, and every token of an ended session; others live on', async () => {
    await start().ready()
    const [one, two, other] = await Promise.all([
      peer.token(),
      peer.token({ jti: 't2' }),
      peer.token({ jti: 't3', sid: 's2' }),
    ])
    peer.revoke({ sid: 's1', jti: 't1' })
    await until(() =>
      guard.check(bearer(one)).then(
        () => false,
        () => true,
      ),
    )
    await refused(guard.check(bearer(one)), 'AUTHENTICATION_FAILED', INVALID)
    await guard.check(bearer(two))
    const { signal } = await guard.check(bearer(two))
    peer.revoke({ sid: 's1', reason: 'account_compromise' })
    await until(() => signal.aborted)
    assert.equal(signal.reason.reason, 'account_compromise')
    await refused(guard.check(bearer(two)), 'AUTHENTICATION_FAILED', INVALID)
    await guard.check(bearer(other))
  })

  it('knows what was revoked before it started', async () => {
    peer.revoke({ sid: 's1' })
    await start().ready()
    await refused(guard.check(bearer(await peer.token())), 'AUTHENTICATION_FAILED', INVALID)
  })

  it('tells who listens of each session that ends, not of single tokens', async () => {
    await start().ready()
    const heard: unknown[] = []
    const stop = guard.onSessionEnded((ended) => heard.push(ended))
    peer.revoke({ sid: 's1', jti: 't1' })
    peer.revoke({ sid: 's2', reason: 'token_reuse' })
    await until(() => heard.length > 0)
    assert.deepEqual(heard, [{ sid: 's2', reason: 'token_reuse', seq: 2 }])
    stop()
    const { signal } = await guard.check(bearer(await peer.token({ sid: 's3', jti: 't3' })))
    peer.revoke({ sid: 's3' })
    await until(() => signal.aborted)
    assert.equal(heard.length, 1)
  })

  it('asks for a token without blaming one, when there is none', async () => {
    await start().ready()
    const challenge = `Bearer resource_metadata="${METADATA}"`
    for (const authorization of [undefined, '', 'Basic YTpi', 'Digest x', 'Bearerx abc'])
      await refused(guard.check({ authorization }), 'AUTHENTICATION_FAILED', challenge)
    await start({ resourceMetadata: undefined }).ready()
    await refused(guard.check({}), 'AUTHENTICATION_FAILED', 'Bearer')
  })

  it('refuses what is not exactly one token, not for this API, expired, or of somebody else', async () => {
    await start().ready()
    const good = await peer.token()
    const headers = [
      'Bearer',
      'Bearer ',
      `Bearer ${good} `,
      `Bearer ${good} ${good}`,
      `Bearer ${good}, Bearer ${good}`,
    ]
    for (const authorization of headers)
      await refused(guard.check({ authorization }), 'AUTHENTICATION_FAILED', INVALID)
    const now = Math.floor(Date.now() / 1000)
    const tokens = [
      await peer.token({ aud: 'https://other.example' }),
      await peer.token({ iat: now - 700, exp: now - 100 }),
      await peer.token({ iss: 'https://evil.example' }),
      await peer.token({}, { typ: 'JWT' }),
      await signToken(await makeKeys('k1'), { iss: peer.issuer }),
      `${good}x`,
      'x'.repeat(9000),
    ]
    for (const token of tokens) {
      const error = await refused(guard.check(bearer(token)), 'AUTHENTICATION_FAILED', INVALID)
      assert.ok(!JSON.stringify([error, error.message, error.stack, error.headers]).includes(token))
    }
    assert.ok(await guard.check({ authorization: `bearer ${good}` }))
  })

  it('wants all the scopes that a request needs', async () => {
    await start().ready()
    const token = await peer.token({ scope: 'notes:read' })
    const error = await refused(
      guard.check({ ...bearer(token), scope: ['notes:read', 'notes:write'] }),
      'INSUFFICIENT_SCOPE',
      `Bearer error="insufficient_scope", scope="notes:read notes:write", resource_metadata="${METADATA}"`,
    )
    assert.equal(error.status, 403)
  })

  it('gives each request a session of its own to change', async () => {
    await start().ready()
    const token = await peer.token({ scope: 'notes:read' })
    const session = await guard.check(bearer(token))
    session.scope.push('notes:write')
    session.aud.length = 0
    await refused(guard.check({ ...bearer(token), scope: ['notes:write'] }), 'INSUFFICIENT_SCOPE')
    await guard.check(bearer(token))
  })

  it('works with an issuer that ends in a slash', async () => {
    await start({ issuer: `${peer.issuer}/` }).ready()
    await guard.check(bearer(await peer.token({ iss: `${peer.issuer}/` })))
  })

  it('is not made with settings that can’t hold', () => {
    const bad: Record<string, unknown>[] = [
      { issuer: 'login.example' },
      { audience: '' },
      { credentials: { clientId: 'a', clientSecret: '' } },
      ...[Number.NaN, 0, -1, Number.POSITIVE_INFINITY, '5000'].map((maxStaleness) => ({ maxStaleness })),
      { onStale: 'allow' },
      { resourceMetadata: 'https://a.example/"\r\nx: y' },
    ]
    for (const options of bad) {
      assert.throws(
        () => start(options),
        (error) => error instanceof GuardError && error.code === 'CONFIGURATION' && error.status === 500,
        JSON.stringify(options),
      )
    }
    start()
  })
})

describe('a guard that has heard nothing', () => {
  const STALE = 5_001
  const introspections = () => peer.seen.filter(({ path }) => path === '/oauth/introspect')
  async function cutOff() {
    peer.feed = 'refused'
    peer.cut()
    await until(() => peer.seen.filter(({ path }) => path === '/feed').length > 1)
  }

  it('trusts its memory for maxStaleness, then asks about each token', async () => {
    await start().ready()
    const token = await peer.token()
    await cutOff()
    await guard.check(bearer(token))
    assert.equal(introspections().length, 0)
    skew = STALE
    await guard.check(bearer(token))
    assert.equal(introspections().at(-1)?.token, token)
    assert.match(`${introspections().at(-1)?.authorization}`, /^Basic /)
    peer.active = false
    await refused(guard.check(bearer(token)), 'AUTHENTICATION_FAILED', INVALID)
    assert.equal(introspections().length, 2)
  })

  it('does not ask about a token that it knows to be dead', async () => {
    peer.revoke({ sid: 's1' })
    await start().ready()
    await cutOff()
    skew = STALE
    await refused(guard.check(bearer(await peer.token())), 'AUTHENTICATION_FAILED', INVALID)
    assert.equal(introspections().length, 0)
  })

  it('refuses when it can’t ask either, and recovers by itself', async () => {
    await start().ready()
    const token = await peer.token()
    await guard.check(bearer(token))
    await peer.stop()
    skew = STALE
    const error = await refused(guard.check(bearer(token)), 'UNAVAILABLE')
    assert.deepEqual([error.status, error.headers], [503, { 'retry-after': '1' }])
    const { port, keys } = peer
    peer = await startPeer({ port, keys })
    peer.revoke({ sid: 's9' })
    await until(() => peer.seen.some(({ path }) => path === '/feed'))
    await until(async () => {
      const asked = introspections().length
      await guard.check(bearer(token))
      return introspections().length === asked
    })
  })

  it('refuses at once where it is told to, without asking', async () => {
    await start({ onStale: 'deny' }).ready()
    const token = await peer.token()
    await cutOff()
    await guard.check(bearer(token))
    skew = STALE
    await refused(guard.check(bearer(token)), 'UNAVAILABLE')
    assert.equal(introspections().length, 0)
  })

  it('is told by a clock that nobody sets back', async (context) => {
    await start({ now: undefined, maxStaleness: 300 }).ready()
    const token = await peer.token()
    await cutOff()
    const started = Date.now()
    const behind = context.mock.method(Date, 'now', () => started - 30_000)
    await new Promise((resolve) => setTimeout(resolve, 400))
    await guard.check(bearer(token))
    behind.mock.restore()
    assert.equal(introspections().length, 1)
  })

  it('asks while it is not ready yet, and does not call a live token dead while it can’t', async () => {
    peer.feed = 'refused'
    start()
    await guard.check(bearer(await peer.token()))
    assert.equal(introspections().length, 1)
    const { keys, port } = peer
    await peer.stop()
    start()
    const token = await peer.token()
    const error = await refused(guard.check(bearer(token)), 'UNAVAILABLE')
    assert.equal(error.headers['retry-after'], '1')
    peer = await startPeer({ port, keys })
    await guard.ready()
    skew = 2_000
    await guard.check(bearer(token))
  })

  it('hears what the feed brings while it asks', async () => {
    await start().ready()
    const token = await peer.token()
    await guard.check(bearer(token))
    peer.feed = 'silent'
    skew = STALE
    // The answer says active, and is overtaken by the news on its way.
    const { signal } = await guard.check(bearer(token))
    peer.onIntrospect = async () => {
      peer.revoke({ sid: 's1' })
      await until(() => signal.aborted)
    }
    await refused(guard.check(bearer(token)), 'AUTHENTICATION_FAILED', INVALID)
  })

  it('takes nothing for a yes but active: true', async () => {
    peer.feed = 'refused'
    start()
    const token = await peer.token()
    for (const active of ['true', 1, null, undefined, {}]) {
      peer.active = active as boolean
      await refused(guard.check(bearer(token)), 'AUTHENTICATION_FAILED', INVALID)
    }
  })

  it('takes no answer from an error', async () => {
    peer.feed = 'refused'
    start()
    peer.introspectStatus = 500
    await refused(guard.check(bearer(await peer.token())), 'UNAVAILABLE')
  })

  it('waits 2 s for an answer, and no longer', async () => {
    peer.feed = 'refused'
    start()
    peer.onIntrospect = () => new Promise((resolve) => setTimeout(resolve, 6_000).unref())
    const from = performance.now()
    await refused(guard.check(bearer(await peer.token())), 'UNAVAILABLE')
    assert.ok(performance.now() - from < 5_000)
  })
})

describe('a token that is bound to a key', () => {
  const url = 'https://api.example/notes'
  const request = { method: 'GET', url }
  let jwk: JWK
  let key: CryptoKey
  let token: string

  beforeEach(async () => {
    const pair = await generateKeyPair('ES256', { extractable: true })
    jwk = await exportJWK(pair.publicKey)
    key = pair.privateKey
    token = await peer.token({ cnf: { jkt: await calculateJwkThumbprint(jwk) } })
    await start().ready()
  })
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
  const challenge = (error: string) =>
    `DPoP ${error}, algs="ES256 EdDSA Ed25519 PS256 RS256", resource_metadata="${METADATA}"`
  const PROOF = challenge('error="invalid_dpop_proof", error_description="the proof does not fit"')
  const TOKEN = challenge('error="invalid_token", error_description="the access token is not valid"')

  it('is let through with its proof, once', async () => {
    const dpop = await prove()
    const session = await guard.check({ ...request, authorization: `DPoP ${token}`, dpop })
    assert.equal(session.jkt, await calculateJwkThumbprint(jwk))
    await refused(
      guard.check({ ...request, authorization: `DPoP ${token}`, dpop }),
      'AUTHENTICATION_FAILED',
      PROOF,
    )
    await guard.check({ ...request, authorization: `dpop ${token}`, dpop: await prove() })
  })

  it('takes one of many copies of a proof that come at once', async () => {
    const dpop = await prove()
    const check = () => guard.check({ ...request, authorization: `DPoP ${token}`, dpop })
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
        guard.check({ ...request, authorization: `DPoP ${token}`, dpop }),
        'AUTHENTICATION_FAILED',
        PROOF,
      )
  })

  it('is refused as a bearer token, with or without its proof', async () => {
    await refused(guard.check(bearer(token)), 'AUTHENTICATION_FAILED', TOKEN)
    await refused(
      guard.check({ ...request, ...bearer(token), dpop: await prove() }),
      'AUTHENTICATION_FAILED',
      TOKEN,
    )
  })

  it('dies like any other', async () => {
    const { signal } = await guard.check({ ...request, authorization: `DPoP ${token}`, dpop: await prove() })
    peer.revoke({ sid: 's1' })
    await until(() => signal.aborted)
    const again = guard.check({ ...request, authorization: `DPoP ${token}`, dpop: await prove() })
    await refused(again, 'AUTHENTICATION_FAILED', TOKEN)
  })

  it('is not what a bearer token becomes by another scheme', async () => {
    const plain = await peer.token()
    const ath = createHash('sha256').update(plain).digest('base64url')
    const check = guard.check({ ...request, authorization: `DPoP ${plain}`, dpop: await prove({ ath }) })
    await refused(check, 'AUTHENTICATION_FAILED', INVALID)
  })
})
