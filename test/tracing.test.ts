import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import { json } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { freePort, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refreshed, signIn } from './sign-in.ts'
import { callTool } from './tool.ts'

type Span = {
  name: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId?: string
  status: { code?: number }
  attributes: { key: string; value: { stringValue?: string; intValue?: number } }[]
}
type Export = { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }

const SERVER = 2
const INTERNAL = 1

/** A collector as OpenTelemetry has them (OTLP/HTTP, JSON). */
async function startCollector(port = 0) {
  const spans: Span[] = []
  const types = new Set<string>()
  const server: Server = createServer(async (req, res) => {
    types.add(`${req.method} ${req.url} ${req.headers['content-type']}`)
    const { resourceSpans } = (await json(req)) as Export
    spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)))
    res.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const { port: at } = server.address() as { port: number }
  return {
    spans,
    types,
    endpoint: `http://127.0.0.1:${at}/v1/traces`,
    async until(done: (spans: Span[]) => boolean) {
      for (let tries = 0; tries < 400 && !done(spans); tries++)
        await new Promise((resolve) => setTimeout(resolve, 25))
      assert.ok(done(spans), `not among ${spans.map(({ name }) => name).join(', ')}`)
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const attribute = ({ attributes }: Span, name: string) => {
  const { stringValue, intValue } = attributes.find(({ key }) => key === name)?.value ?? {}
  return stringValue ?? intValue
}

describe('traces', () => {
  let collector: Awaited<ReturnType<typeof startCollector>>
  let authority: TestAuthority
  before(async () => {
    collector = await startCollector()
    const tracing = { endpoint: collector.endpoint, ratio: 1 }
    authority = await startTestAuthority({ tracing, trustProxy: true })
  })
  after(async () => {
    await authority.stop()
    collector.close()
  })

  it('have a span for each request, by the pattern of its path, and one beneath it for each transaction', async () => {
    const { issuer } = authority
    const tokens = await signIn(issuer)
    const next = await refreshed(issuer, tokens.refresh_token)
    const sessions = await fetch(`${issuer}/v1/sessions`, {
      headers: { authorization: `Bearer ${next.access_token}` },
    })
    assert.equal(sessions.status, 200)
    const { sid } = JSON.parse(Buffer.from(`${next.access_token.split('.')[1]}`, 'base64url').toString()) as {
      sid: string
    }
    const ended = await fetch(`${issuer}/v1/sessions/${sid}?why=secret-query`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${next.access_token}` },
    })
    assert.equal(ended.status, 200)
    assert.equal(await lives(issuer, next.access_token), false)
    await fetch(`${issuer}/nowhere/${encodeURIComponent('ann@example.com')}`)
    await collector.until((spans) => spans.some(({ name }) => name === 'GET'))
    assert.deepEqual([...collector.types], ['POST /v1/traces application/json'])

    const one = (name: string) => {
      const found = collector.spans.find((span) => span.name === name)
      assert.ok(found, `${name} is not among ${collector.spans.map((span) => span.name).join(', ')}`)
      return found
    }
    const request = one('DELETE /v1/sessions/{id}')
    assert.equal(request.kind, SERVER)
    assert.equal(attribute(request, 'http.request.method'), 'DELETE')
    assert.equal(attribute(request, 'http.route'), '/v1/sessions/{id}')
    assert.equal(attribute(request, 'http.response.status_code'), 200)
    const beneath = collector.spans.filter(({ parentSpanId }) => parentSpanId === request.spanId)
    assert.deepEqual(
      beneath.map((span) => [span.name, attribute(span, 'rescind.transaction'), span.traceId]),
      [['store revoke', 'revoke', request.traceId]],
    )
    one('GET /interaction/{uid}')
    one('POST /interaction/{uid}/login')
    const refresh = collector.spans.find(({ name }) => name === 'store refresh')
    const parent = collector.spans.find(({ spanId }) => spanId === refresh?.parentSpanId)
    assert.equal(parent?.name, 'POST /oauth/token')
    assert.equal(
      attribute(one('GET'), 'http.response.status_code'),
      404,
      'what has no route has no path either',
    )

    const all = JSON.stringify(collector.spans)
    for (const secret of [
      tokens.access_token,
      next.refresh_token,
      tokens.logout_ticket,
      sid,
      'secret-query',
      'ann@',
    ])
      assert.ok(!all.includes(secret), `${secret} is in a span`)
  })

  it('go on with the trace of the proxy in front; what a tool calls is within the tool’s', async () => {
    const { issuer } = authority
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const parentSpanId = 'b7ad6b7169203331'
    const headers = { traceparent: `00-${traceId}-${parentSpanId}-01` }
    await fetch(`${issuer}/oauth/jwks`, { headers })
    await fetch(`${issuer}/status-lists`, { headers: { traceparent: `00-${traceId}-nonsense-01` } })
    await fetch(`${issuer}/`, { headers: { traceparent: `00-${traceId}-${parentSpanId}-00` } })
    const tokens = await signIn(issuer)
    await callTool(issuer, 'verify_oauth_revocation', { accessToken: tokens.access_token })
    await collector.until((spans) => spans.some(({ name }) => name === 'POST /mcp'))
    const named = (wanted: string) => collector.spans.filter(({ name }) => name === wanted)
    const jwks = named('GET /oauth/jwks').find((span) => span.traceId === traceId)
    assert.equal(jwks?.parentSpanId, parentSpanId)
    assert.notEqual(named('GET /status-lists')[0]?.traceId, traceId)
    assert.equal(named('GET /').length, 0, 'the proxy did not sample it')
    const tool = named('POST /mcp').at(-1)
    const inner = collector.spans.filter(({ parentSpanId }) => parentSpanId === tool?.spanId)
    assert.ok(
      inner.some(({ kind, name }) => kind === INTERNAL && name.startsWith('GET /')),
      JSON.stringify(inner),
    )
  })
})

describe('a collector that is down', () => {
  it('slows nothing down, breaks nothing, and holds up no stop', async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}/v1/traces`
    const authority = await startTestAuthority({ tracing: { endpoint, ratio: 1 }, logLevel: 'silent' })
    const tokens = await signIn(authority.issuer)
    const began = performance.now()
    for (let i = 0; i < 300; i++)
      await fetch(`${authority.issuer}/oauth/jwks`).then((res) => res.arrayBuffer())
    const took = performance.now() - began
    assert.ok(took < 5_000, `300 requests took ${took} ms`)
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    const revoked = await post(`${authority.issuer}/v1/revoke`, { accessToken: tokens.access_token })
    assert.equal(revoked.status, 200)
    const stopping = performance.now()
    await authority.stop()
    assert.ok(performance.now() - stopping < 4_000, 'it waited for the collector')
  })

  it('that never answers neither', async () => {
    const hanging = createServer(() => {})
    await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve))
    const { port } = hanging.address() as { port: number }
    const endpoint = `http://127.0.0.1:${port}/v1/traces`
    const authority = await startTestAuthority({ tracing: { endpoint, ratio: 1 }, logLevel: 'silent' })
    for (let i = 0; i < 50; i++)
      await fetch(`${authority.issuer}/oauth/jwks`).then((res) => res.arrayBuffer())
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    const stopping = performance.now()
    await authority.stop()
    assert.ok(performance.now() - stopping < 4_000, 'it waited for the collector')
    hanging.close()
    hanging.closeAllConnections()
  })
})
