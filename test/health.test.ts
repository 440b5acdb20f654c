import assert from 'node:assert/strict'
import { createServer, get } from 'node:http'
import { describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createHealth } from '../packages/authority/src/health.ts'
import { until } from '../packages/guard/test/peer.ts'
import { openFeed } from './feed-client.ts'
import { API_GUARD, freePort, startTestAuthority } from './setup.ts'
import { post, refresh, signIn, type Tokens } from './sign-in.ts'

type Answer = { status: number; body: { status: string; code?: string; why?: string }; headers: Headers }

/** Asks as a load balancer does: by an address of its own. */
function ask(url: string, path: string, host = '10.0.0.7'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(url)
    get({ host: '127.0.0.1', port, path, headers: { host }, agent: false }, async (res) => {
      let text = ''
      for await (const chunk of res) text += chunk
      const headers = new Headers(res.headers as Record<string, string>)
      resolve({ status: res.statusCode ?? 0, body: JSON.parse(text), headers })
    }).on('error', reject)
  })
}

/** How it is noticed that nobody listens: refused, reset, or a kept connection that was let go while it was taken up again. */
const GONE = /^(ECONN(REFUSED|RESET)|UND_ERR_SOCKET)$/

describe('how the process is', () => {
  it('is said to whoever asks, under any name', async () => {
    const port = await freePort()
    const authority = await startTestAuthority({ metrics: { host: '127.0.0.1', port } })
    const [own = ''] = authority.urls
    for (const url of [own, `http://127.0.0.1:${port}`]) {
      for (const path of ['/healthz', '/readyz', '/readyz?from=lb']) {
        const { status, body, headers } = await ask(url, path)
        assert.deepEqual([status, body], [200, { status: 'ok' }], path)
        assert.equal(headers.get('cache-control'), 'no-store')
      }
    }
    assert.equal((await ask(own, '/v1/session')).status, 404, 'all else is answered under its own name alone')
    assert.equal((await fetch(`${authority.issuer}/healthz`, { method: 'POST' })).status, 404)
    await authority.stop()
  })

  it('is alive, not ready, while its store is gone', async () => {
    const authority = await startTestAuthority()
    const [own = ''] = authority.urls
    await authority.authority.store.close()
    const { status, body, headers } = await ask(own, '/readyz')
    assert.equal(status, 503)
    assert.deepEqual(body, { status: 'unavailable', code: 'UNAVAILABLE', why: 'the store is not available' })
    assert.ok(Number(headers.get('retry-after')) > 0)
    assert.equal((await ask(own, '/healthz')).status, 200)
    await authority.stop()
  })

  it('asks its store one question at a time, however many ask', async () => {
    const authority = await startTestAuthority()
    const { store } = authority.authority
    const { read } = store
    let [reads, most] = [0, 0]
    store.read = (query) => {
      most = Math.max(most, ++reads)
      return read(query).finally(() => reads--)
    }
    const [own = ''] = authority.urls
    const all = await Promise.all(Array.from({ length: 200 }, () => ask(own, '/readyz')))
    assert.ok(all.every(({ status }) => status === 200))
    assert.equal(most, 1)
    await authority.stop()
  })

  it('asks a store that hangs no second time, and keeps nobody waiting for it again', async () => {
    let reads = 0
    const read = () => {
      reads++
      return new Promise<never>(() => {})
    }
    const health = createHealth({ read, caughtUp: () => undefined }, 60)
    const server = createServer((req, res) => void health.answer(req, res))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    const first = await ask(url, '/readyz')
    assert.deepEqual([first.status, first.body.why], [503, 'the store does not answer'])
    const began = performance.now()
    assert.equal((await ask(url, '/readyz')).status, 503)
    assert.ok(performance.now() - began < 50, 'it waited again')
    assert.equal(reads, 1)
    assert.equal((await ask(url, '/healthz')).status, 200)
    server.close()
  })

  it('says nothing of what the store says of itself', async () => {
    const read = async () => {
      throw new Error('password authentication failed for postgres://rescind:hunter2@db.internal')
    }
    const health = createHealth({ read, caughtUp: () => undefined })
    const server = createServer((req, res) => void health.answer(req, res))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    assert.doesNotMatch(JSON.stringify((await ask(url, '/readyz')).body), /hunter2|internal|rescind/)
    server.close()
  })
})

describe('an authority that is stopped', () => {
  it('says first that it is not ready, goes on serving, lets guards go, and then is gone', async () => {
    const authority = await startTestAuthority({ shutdown: { delaySeconds: 1 } })
    const [own = ''] = authority.urls
    const tokens = await signIn(authority.issuer)
    const feed = await openFeed(own, API_GUARD)
    await feed.next('ready')
    const stopped = authority.close()
    await until(async () => (await ask(own, '/readyz')).status === 503)
    assert.equal((await ask(own, '/readyz')).body.why, 'it is stopping')
    const rotated = await refresh(authority.issuer, tokens.refresh_token)
    assert.equal(rotated.status, 200)
    const { access_token: accessToken, refresh_token: refreshToken } = (await rotated.json()) as Tokens
    assert.equal((await post(`${authority.issuer}/v1/revoke`, { accessToken, refreshToken })).status, 200)
    await feed.next('revocation')
    await stopped
    await feed.closed
    await assert.rejects(ask(own, '/healthz'))
    await authority.stop()
  })

  it('answers no request with a failure under load, and loses nothing', async () => {
    const authority = await startTestAuthority({ shutdown: { delaySeconds: 0.3 } })
    const sessions = await Promise.all(Array.from({ length: 12 }, () => signIn(authority.issuer)))
    const outcomes = { served: 0, refused: 0 }
    const last: string[] = []
    let stopping = false
    const wrong: unknown[] = []
    async function device(token: string) {
      for (let next = token; ; ) {
        try {
          const answer = await refresh(authority.issuer, next)
          if (answer.status !== 200) wrong.push([answer.status, await answer.text()])
          else next = ((await answer.json()) as Tokens).refresh_token
          outcomes.served++
        } catch (error) {
          // Nobody listens any more; what the system had taken for us by then it resets.
          const { code = '' } = ((error as Error).cause ?? error) as { code?: string }
          if (!stopping || !GONE.test(code)) wrong.push(error)
          outcomes.refused++
          last.push(next)
          return
        }
      }
    }
    const devices = sessions.map(({ refresh_token }) => device(refresh_token))
    await pause(200)
    stopping = true
    await authority.close()
    await Promise.all(devices)
    assert.deepEqual(wrong, [])
    assert.equal(outcomes.refused, 12)
    assert.ok(outcomes.served > 24)
    await authority.restart()
    for (const token of last) assert.equal((await refresh(authority.issuer, token)).status, 200)
    await authority.stop()
  })
})

describe('the id of a request', () => {
  it('is ours; or a proxy’s, where there is one that is trusted', async () => {
    const id = 'trace-4f1c:8.b'
    for (const trustProxy of [false, true]) {
      const authority = await startTestAuthority({ trustProxy })
      const idOf = async (given: string) =>
        (await fetch(`${authority.issuer}/v1/session`, { headers: { 'x-request-id': given } })).headers.get(
          'x-request-id',
        )
      assert.equal((await idOf(id)) === id, trustProxy)
      for (const strange of ['short', 'a'.repeat(65), 'with space in it', '<script>alert(1)</script>'])
        assert.match(`${await idOf(strange)}`, /^[\w-]{36}$/)
      await authority.stop()
    }
  })
})
