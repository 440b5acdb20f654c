import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { WebSocket } from 'ws'
import { AUDIENCE, CREDENTIALS, type Peer, startPeer, until } from '../packages/guard/test/peer.ts'

/* Every example of docs/guard.md, run as it stands: a live token is let through, and refused once it was revoked. */

const ROOT = join(import.meta.dirname, '..')

/** The examples, by the heading they stand under. */
function examples(): Map<string, string> {
  const page = readFileSync(join(ROOT, 'docs/guard.md'), 'utf8')
  const found = new Map<string, string>()
  for (const section of page.split(/^## /m)) {
    const heading = section.startsWith('# ') ? 'guard.ts' : `${section.split('\n', 1)[0]}`
    for (const [, code = ''] of section.matchAll(/^```ts\n(.*?)^```$/gms)) {
      assert.ok(!found.has(heading), `one example for each section: ${heading}`)
      found.set(heading, code)
    }
  }
  return found
}

type Caller = { url: string; headers: Record<string, string> }
const get =
  (path: string) =>
  ({ url, headers }: Caller) =>
    fetch(`${url}${path}`, { headers })
const INITIALIZE = {
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
}
/** How each is called. */
const CALLS: Record<string, (caller: Caller) => Promise<Response>> = {
  'node:http': get('/notes'),
  Express: get('/notes'),
  Fastify: get('/notes'),
  Hono: get('/notes'),
  WebSockets: ({ url, headers }) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { headers })
      socket.on('open', () => socket.send('hello'))
      socket.on('message', (data) => {
        resolve(new Response(`${data}`))
        socket.close()
      })
      socket.on('unexpected-response', (_, res) => resolve(new Response(null, { status: res.statusCode })))
      socket.on('error', reject)
    }),
  'Server-Sent Events': get('/events'),
  'MCP servers': ({ url, headers }) => {
    const types = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
    const body = JSON.stringify(INITIALIZE)
    return fetch(`${url}/mcp`, { method: 'POST', headers: { ...types, ...headers }, body })
  },
  'Step-up': get('/payments'),
}
/** What the answer begins with. */
const ANSWERS: Record<string, RegExp> = {
  'node:http': /^The notes of ann$/,
  WebSockets: /^ann says hello$/,
  'Server-Sent Events': /^event: tick\ndata: 20/,
  'MCP servers': /"name":"notes"/,
}

describe('docs/guard.md', () => {
  const blocks = examples()
  let peer: Peer
  let folder: string
  const processes: ChildProcess[] = []
  const fileOf = (heading: string) => `${heading.toLowerCase().replace(/[^a-z]+/g, '-')}.ts`

  before(async () => {
    peer = await startPeer()
    folder = mkdtempSync(join(import.meta.dirname, '.guard-docs-'))
    for (const [heading, code] of blocks)
      writeFileSync(join(folder, heading === 'guard.ts' ? heading : fileOf(heading)), code)
  })
  after(async () => {
    for (const one of processes) one.kill()
    rmSync(folder, { recursive: true, force: true })
    await peer.stop()
  })

  /** Runs an example in a process of its own. */
  async function start(heading: string): Promise<string> {
    const port = await freePort()
    const { clientId, clientSecret } = CREDENTIALS
    const authority = { ISSUER: peer.issuer, AUDIENCE, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret }
    const one = spawn(process.execPath, [join(folder, fileOf(heading))], {
      env: { ...process.env, ...authority, PORT: `${port}` },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    processes.push(one)
    let said = ''
    one.stderr?.on('data', (data) => {
      said += data
    })
    const url = `http://localhost:${port}`
    await until(async () => {
      assert.equal(one.exitCode, null, said)
      return fetch(url).then(
        () => true,
        () => false,
      )
    })
    return url
  }

  it('has an example for each that is called here, of at most 15 lines', () => {
    assert.deepEqual([...blocks.keys()].sort(), ['guard.ts', ...Object.keys(CALLS)].sort())
    for (const [heading, code] of blocks)
      assert.ok(code.trimEnd().split('\n').length <= 15, `${heading} is longer`)
  })

  it('compiles', () => {
    const files = [...blocks.keys()].map((heading) => (heading === 'guard.ts' ? heading : fileOf(heading)))
    const config = { extends: '../../tsconfig.json', include: [], files }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const { status, stdout } = spawnSync(process.execPath, [tsc, '--noEmit', '-p', folder], {
      encoding: 'utf8',
    })
    assert.equal(status, 0, stdout)
  })

  for (const [heading, call] of Object.entries(CALLS)) {
    it(`${heading}: 200 with a live token, 401 once it was revoked`, async () => {
      const url = await start(heading)
      const auth_time = Math.floor(Date.now() / 1000)
      const token = await peer.token({ sid: heading, jti: heading, auth_time })
      const ask = () => call({ url, headers: { authorization: `Bearer ${token}` } })
      const live = await ask()
      assert.equal(live.status, 200)
      assert.match(await begins(live), ANSWERS[heading] ?? /^\{"for":"ann"\}$/)
      assert.equal((await call({ url, headers: {} })).status, 401)
      peer.revoke({ sid: heading })
      await until(async () => {
        const { status, body } = await ask()
        await body?.cancel()
        return status === 401
      })
    })
  }
})

/** The first piece of a body. */
async function begins(response: Response): Promise<string> {
  const reader = response.body?.getReader()
  const { value } = (await reader?.read()) ?? {}
  await reader?.cancel()
  return new TextDecoder().decode(value)
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
