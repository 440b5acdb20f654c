// What the published guard does, on whatever runtime runs this: the same steps everywhere, one line for each.
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { getEventListeners, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { createGuard, GuardError, protect } from '@rescind/guard'
import { calculateJwkThumbprint, SignJWT } from 'jose'
import { closesWebSockets, endsEventStreams } from './streams.mjs'
import { AUDIENCE, CREDENTIALS, makeKey, startWorld, until } from './world.mjs'

const world = await startWorld()
const options = { issuer: world.issuer, audience: AUDIENCE, credentials: CREDENTIALS, maxStaleness: 1000 }
const guard = createGuard(options)

async function refused(what, code, status) {
  const error = await what.then(
    () => assert.fail('it was let through'),
    (error) => error,
  )
  assert.ok(error instanceof GuardError, `${error?.stack}`)
  assert.deepEqual([error.code, error.status], [code, status])
  return error
}
const dead = (what) => refused(what, 'AUTHENTICATION_FAILED', 401)
const passes = ({ text }) =>
  guard.check(text).then(
    () => true,
    () => false,
  )

/** Serves a handler while `use` asks it. */
async function serve(handler, use) {
  const server = createServer(handler)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const ask = (headers) => {
    const answer = { body: '', status: 0 }
    answer.request = get({ port: server.address().port, host: '127.0.0.1', headers, agent: false })
    answer.request.on('error', () => {})
    answer.request.on('response', (response) => {
      answer.challenge = response.headers['www-authenticate']
      answer.status = response.statusCode
      response.on('data', (chunk) => {
        answer.body += chunk
      })
    })
    answer.closed = new Promise((resolve) => answer.request.on('close', () => resolve(answer.status)))
    return answer
  }
  await use(ask).finally(() => {
    server.closeAllConnections()
    server.close()
  })
}

const steps = {
  async 'every entry point can be imported'() {
    const url = new URL('node_modules/@rescind/guard/package.json', import.meta.url)
    for (const entry of Object.keys(JSON.parse(readFileSync(url, 'utf8')).exports))
      await import(`@rescind/guard${entry.slice(1)}`)
  },

  async 'the guard gets ready'() {
    await guard.ready()
    assert.equal(guard.state().live, true)
  },

  async 'a live token is a session'() {
    const token = await world.token()
    const session = await guard.checkRequest(
      { authorization: `Bearer ${token.text}` },
      { scope: ['notes:read'] },
    )
    assert.deepEqual([session.sub, session.sid, session.signal.aborted], ['ann', token.sid, false])
    assert.equal((await guard.check(token.text)).sid, token.sid)
  },

  async 'what a request needs is asked for'() {
    const { text } = await world.token({ auth_time: Math.floor(Date.now() / 1000) - 100 })
    await refused(guard.check(text, { scope: ['notes:write'] }), 'INSUFFICIENT_SCOPE', 403)
    await refused(guard.check(text, { maxAge: 60 }), 'INSUFFICIENT_USER_AUTHENTICATION', 401)
    await guard.check(text, { maxAge: 200 })
  },

  async 'what is no live token of ours for this API is refused'() {
    const past = Math.floor(Date.now() / 1000) - 700
    const tokens = [
      await world.token({ aud: 'https://other.example' }),
      await world.token({ iat: past, exp: past + 600 }),
      await world.token({ iss: 'https://evil.example' }),
      await world.token({}, (await makeKey('EdDSA')).privateKey),
      { text: 'x.y.z' },
    ]
    for (const { text } of tokens) await dead(guard.check(text))
    const { headers } = await dead(guard.checkRequest({}))
    assert.equal(headers['www-authenticate'], 'Bearer')
  },

  async 'a bound token needs its proof, once'() {
    const { privateKey, publicJwk } = await makeKey('ES256')
    const { text } = await world.token({ cnf: { jkt: await calculateJwkThumbprint(publicJwk) } })
    const request = { method: 'GET', url: 'https://api.example/notes', authorization: `DPoP ${text}` }
    const ath = createHash('sha256').update(text).digest('base64url')
    const claims = { jti: randomUUID(), htm: request.method, htu: request.url, ath }
    const dpop = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: publicJwk })
      .setIssuedAt()
      .sign(privateKey)
    await dead(guard.check(text))
    await guard.checkRequest({ ...request, dpop })
    await dead(guard.checkRequest({ ...request, dpop }))
  },

  async 'a revocation is heard: the signal aborts, the connection closes, the token is refused'() {
    const [token, other] = [await world.token(), await world.token()]
    const session = await guard.check(token.text)
    await guard.check(other.text)
    const heard = []
    guard.connections.add(session, (reason) => heard.push(reason))
    const { signal } = session
    signal.addEventListener('abort', () => heard.push(signal.reason.reason))
    const stop = guard.on('session-ended', ({ sid }) => heard.push(sid))
    await world.revoke(token, { reason: 'password_change' })
    await until('the signal aborts', () => signal.aborted)
    stop()
    assert.deepEqual(heard.sort(), ['password_change', 'password_change', token.sid].sort())
    assert.equal((await dead(guard.check(token.text))).reason, 'password_change')
    assert.equal(await passes(other), true)
    assert.equal(guard.connections.size, 0)
  },

  async 'protect answers for a node:http server, and ends a stream with its session'() {
    const token = await world.token()
    const stream = (req, res) => {
      res.write('hello')
      req.session.signal.addEventListener('abort', () => res.end(req.session.signal.reason.reason))
    }
    await serve(protect(guard, stream, { scope: ['notes:read'] }), async (ask) => {
      const open = ask({ authorization: `Bearer ${token.text}` })
      await until('the stream begins', () => open.body === 'hello')
      await world.revoke(token)
      assert.deepEqual([await open.closed, open.body], [200, 'hellouser_logout'])
      for (const headers of [{}, { authorization: `Bearer ${token.text}` }]) {
        const answer = ask(headers)
        assert.equal(await answer.closed, 401)
        assert.match(answer.challenge, /^Bearer/)
        assert.equal(JSON.parse(answer.body).code, 'AUTHENTICATION_FAILED')
      }
    })
  },

  async 'protect leaves no listener on the session, whenever the caller hangs up'() {
    const { text } = await world.token()
    const { signal } = await guard.check(text)
    let served = 0
    const handler = async (req, res) => {
      if (req.headers.hang) await once(res, 'close')
      assert.equal(req.session.signal.aborted, false)
      if (!req.headers.hang) res.end()
      served++
    }
    await serve(protect(guard, handler), async (ask) => {
      await ask({ authorization: `Bearer ${text}` }).closed
      const late = ask({ authorization: `Bearer ${text}`, hang: 'up' })
      await new Promise((resolve) => setTimeout(resolve, 100))
      late.request.destroy()
      await until('both were served', () => served === 2)
      assert.equal(getEventListeners(signal, 'abort').length, 0)
    })
  },

  'an upgrade is guarded, and a WebSocket closes with its session': () => closesWebSockets(guard, world),
  'a stream of events ends with its session': () => endsEventStreams(guard, world),

  async 'wrong credentials are told'() {
    const stranger = createGuard({ ...options, credentials: { ...CREDENTIALS, clientSecret: 'wrong' } })
    await refused(stranger.ready(), 'CONFIGURATION', 500)
    stranger.close()
  },

  async 'the authority is killed: soon nothing passes; back without its feed it is asked; back whole all is well'() {
    const [one, two] = [await world.token(), await world.token()]
    assert.deepEqual([await passes(one), await passes(two)], [true, true])
    await world.kill()
    await until('nothing passes', async () => !(await passes(one)))
    await refused(guard.check(two.text), 'UNAVAILABLE', 503)
    assert.equal(guard.state().live, false)
    await world.revoke(two, { quietly: true })
    await world.start({ feed: false })
    await until('introspection lets it pass', () => passes(one))
    assert.equal(guard.state().live, false)
    await dead(guard.check(two.text))
    await world.kill()
    await world.start()
    await until('the guard is live', () => guard.state().live)
    assert.equal(await passes(one), true)
    await dead(guard.check(two.text))
  },

  async 'a stream that outlives its token ends with its session; other signals are forgotten'() {
    const [heard, unheard] = [await world.token(), await world.token()]
    const [session, other] = [await guard.check(heard.text), await guard.check(unheard.text)]
    let ended = 0
    const { signal } = session
    const first = other.signal
    signal.addEventListener('abort', () => ended++)
    await world.kill()
    await world.start({ clock: 700_000 })
    const code = () =>
      guard.check(heard.text).then(
        () => '',
        (error) => error.code,
      )
    await until('the token has expired', async () => (await code()) === 'AUTHENTICATION_FAILED')
    await until('the signal that nobody listens to is forgotten', () => other.signal !== first)
    await world.revoke(heard)
    await until('the stream ends', () => ended === 1)
  },
}

const { bun, deno, node } = process.versions
console.log(bun ?? deno ?? node)
let failed = 0
for (const [name, step] of Object.entries(steps)) {
  try {
    await step()
    console.log(`passed: ${name}`)
  } catch (error) {
    failed++
    console.log(`failed: ${name}\n${error?.stack ?? error}`)
  }
}
guard.close()
await world.kill()
// Nothing of a closed guard keeps the process up.
process.exitCode = failed > 0 ? 1 : 0
