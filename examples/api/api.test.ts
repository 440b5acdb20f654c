import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { CREDENTIALS, type Peer, startPeer } from '../../packages/guard/test/peer.ts'
import { type ExampleApi, startExampleApi } from './api.ts'

const AUDIENCE = 'https://api.example'
const ORIGIN = 'http://127.0.0.1:9999'

describe('the example API', () => {
  let peer: Peer
  let api: ExampleApi

  before(async () => {
    peer = await startPeer()
    const { issuer } = peer
    api = await startExampleApi({
      port: 0,
      issuer,
      audience: AUDIENCE,
      credentials: CREDENTIALS,
      origins: [ORIGIN],
    })
  })
  after(async () => {
    await api.close()
    await peer.stop()
  })
  const ask = async (path: string, claims?: Record<string, unknown>, headers: Record<string, string> = {}) =>
    fetch(api.url + path, {
      headers: claims ? { authorization: `Bearer ${await peer.token(claims)}`, ...headers } : headers,
    })

  it('gives notes to whom may read them', async () => {
    const response = await ask('/notes?page=1', {})
    const body = (await response.json()) as { for: string; notes: string[] }
    assert.deepEqual([response.status, body.for, body.notes.length > 0], [200, 'ann', true])
    assert.equal((await ask('/notes', { jti: 't2', scope: 'openid' })).status, 403)
  })

  it('says where a token is to be had', async () => {
    const refused = await ask('/notes')
    assert.equal(refused.status, 401)
    const metadata = `${api.url}/.well-known/oauth-protected-resource`
    assert.equal(refused.headers.get('www-authenticate'), `Bearer resource_metadata="${metadata}"`)
    assert.deepEqual(await (await fetch(metadata)).json(), {
      resource: AUDIENCE,
      authorization_servers: [peer.issuer],
      scopes_supported: ['notes:read'],
    })
  })

  it('ends a stream when its session ends, and says why', async () => {
    const stream = await ask('/events', { sid: 'streaming', jti: 't3' })
    assert.equal(stream.headers.get('content-type'), 'text/event-stream')
    setTimeout(() => peer.revoke({ sid: 'streaming', reason: 'device_removed' }), 50)
    const text = await stream.text()
    assert.match(text, /^event: tick\ndata: \{"count":1\}\n\n/)
    assert.match(text, /event: session-ended\ndata: \{"reason":"device_removed"\}\n\n$/)
    assert.equal((await ask('/events', { sid: 'streaming', jti: 't3' })).status, 401)
  })

  it('is open to the pages that it names, and to no others', async () => {
    const preflight = {
      method: 'OPTIONS',
      headers: { origin: ORIGIN, 'access-control-request-method': 'GET' },
    }
    const allowed = await fetch(`${api.url}/notes`, preflight)
    assert.deepEqual(
      ['allow-origin', 'allow-headers', 'expose-headers', 'allow-credentials'].map((name) =>
        allowed.headers.get(`access-control-${name}`),
      ),
      [ORIGIN, 'Authorization, DPoP', 'WWW-Authenticate', null],
    )
    assert.equal(
      (await ask('/notes', undefined, { origin: ORIGIN })).headers.get('access-control-allow-origin'),
      ORIGIN,
    )
    for (const origin of ['https://evil.example', 'null', `${ORIGIN}.evil.example`])
      assert.equal((await ask('/notes', {}, { origin })).headers.get('access-control-allow-origin'), null)
  })

  it('answers 404 in JSON to everything else, however odd the address', async () => {
    assert.equal((await ask('/')).status, 404)
    for (const path of ['//', '//notes', '/notes/', 'http://[', '*']) {
      const status = await new Promise((resolve, reject) => {
        const { hostname, port } = new URL(api.url)
        request({ hostname, port, path }, (res) => resolve(res.resume().statusCode))
          .on('error', reject)
          .end()
      })
      assert.equal(status, 404, path)
    }
    assert.equal((await fetch(`${api.url}/notes`, { method: 'POST' })).status, 404)
  })
})
