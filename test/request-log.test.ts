import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { loggedPath } from '../packages/authority/src/http/logged-path.ts'
import { sendForm } from './account.ts'
import { API, CLIENTS, freePort, PERSON } from './setup.ts'
import { authorize, exchange, post, refreshed, type Tokens, tokenRequest } from './sign-in.ts'
import { callTool } from './tool.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')

type Line = {
  requestId?: string
  msg: string
  method?: string
  path?: string
  status?: number
  ms?: number
}

/** An authority as a process of its own, whose log is collected. */
async function startLogged(settings: Record<string, unknown>, environment: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-log-'))
  const config = join(folder, 'rescind.json')
  const port = await freePort()
  const resources = [{ resource: API, scopes: { 'notes:read': 'Read your notes' } }]
  writeFileSync(
    config,
    JSON.stringify({ port, data: join(folder, 'store'), clients: CLIENTS, resources, ...settings }),
  )
  const env = { ...process.env, ...environment }
  const run = (args: string[]) => spawn(process.execPath, [CLI, ...args, '--config', config], { env })
  const added = run(['accounts', 'add', PERSON.email])
  added.stdin.end(`${PERSON.password}\n`)
  await new Promise((resolve) => added.once('exit', resolve))
  const child = run(['serve'])
  let log = ''
  child.stderr.on('data', (chunk) => (log += chunk))
  const issuer = `http://localhost:${port}`
  for (let tries = 0; tries < 400; tries++) {
    if ((await fetch(`${issuer}/healthz`).catch(() => undefined))?.ok) break
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  return {
    issuer,
    async stop() {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await gone
      rmSync(folder, { recursive: true, force: true })
      const lines = log
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Line)
      return { log, lines }
    },
  }
}

describe('the log of requests', () => {
  let running: Awaited<ReturnType<typeof startLogged>>
  const ids: Record<string, string> = {}
  const secrets: Record<string, string> = {}
  let log: string
  let lines: Line[]

  async function asked(name: string, path: string, headers: Record<string, string> = {}) {
    const response = await fetch(`${running.issuer}${path}`, { headers })
    await response.arrayBuffer()
    ids[name] = `${response.headers.get('x-request-id')}`
    return response
  }

  before(async () => {
    running = await startLogged({ trustProxy: true }, { RESCIND_LOG_LEVEL: 'debug' })
    const { issuer } = running
    const grant = await authorize(issuer)
    const tokens = (await (await exchange(issuer, grant)).json()) as Tokens
    const next = await refreshed(issuer, tokens.refresh_token)
    await tokenRequest(issuer, { grant_type: 'refresh_token', refresh_token: `${next.refresh_token}x` })
    await callTool(issuer, 'verify_oauth_revocation', { accessToken: next.access_token })
    await post(`${issuer}/oauth/revoke?token=${tokens.logout_ticket}`, {})
    await sendForm(`${issuer}/forgot`, { email: PERSON.email })
    // What people and scripts do by mistake: secrets in the path, in the query, in the wrong header.
    await asked('token in the path', `/v1/sessions/${next.access_token}`)
    await asked('ticket in the path', `/oauth/revoke/${tokens.logout_ticket}`)
    await asked('e-mail in the path', `/v1/admin/accounts/${encodeURIComponent(PERSON.email)}/report`)
    await asked('password in the query', `/?password=${encodeURIComponent(PERSON.password)}`)
    await asked('from a proxy', '/', { 'x-request-id': 'a1b2-from.the:proxy' })
    await asked('too long', '/', { 'x-request-id': 'x'.repeat(65) })
    await asked('of the wrong kind', '/', { 'x-request-id': 'a "quoted" <id>' })
    await asked('health', '/healthz', { 'x-request-id': 'health-check' })
    await asked('readiness', '/readyz', { 'x-request-id': 'health-check' })
    Object.assign(secrets, {
      ...{ password: PERSON.password, 'encoded password': encodeURIComponent(PERSON.password) },
      ...{ email: PERSON.email, 'encoded email': encodeURIComponent(PERSON.email) },
      ...{ code: grant.code, verifier: grant.verifier, ticket: tokens.logout_ticket },
      ...{ 'access token': next.access_token, 'refresh token': next.refresh_token },
      ...{ 'first refresh token': tokens.refresh_token, 'id token': `${tokens.id_token}` },
    })
    const ended = await running.stop()
    log = ended.log
    lines = ended.lines
  })

  it('has a line for each: method, path, status, time', () => {
    const token = lines.find(({ msg, path }) => msg === 'request' && path === '/oauth/token')
    assert.equal(token?.method, 'POST')
    assert.equal(token?.status, 200)
    assert.ok(Number(token?.ms) > 0)
    for (const [name, id] of Object.entries(ids)) {
      if (['health', 'readiness'].includes(name)) continue
      const own = lines.filter(({ msg, requestId }) => msg === 'request' && requestId === id)
      assert.equal(own.length, 1, name)
      assert.equal(own[0]?.path?.includes('?'), false, name)
    }
    const session = lines.find(({ requestId }) => requestId === ids['token in the path'])
    assert.deepEqual([session?.path, session?.status], ['/v1/sessions/*', 404])
  })

  it('takes the id that a trusted proxy gives, if it is one', () => {
    assert.equal(ids['from a proxy'], 'a1b2-from.the:proxy')
    for (const name of ['too long', 'of the wrong kind']) assert.match(`${ids[name]}`, /^[\w-]{36}$/, name)
  })

  it('calls what a tool does by the id of the request that called the tool', () => {
    const tool = lines.find(({ msg, path }) => msg === 'request' && path === '/mcp')
    const all = lines.filter(({ requestId }) => requestId === tool?.requestId)
    assert.deepEqual(all.map(({ path }) => path).sort(), ['/mcp', '/v1/session'])
  })

  it('leaves the checks of health out', () => {
    assert.doesNotMatch(log, /healthz|readyz|health-check/)
  })

  it('has no secret in it', () => {
    for (const [what, secret] of Object.entries(secrets)) {
      assert.ok(secret.length > 8, `${what} was not collected`)
      assert.ok(!log.includes(secret.slice(-20)), `${what} is in the log`)
    }
  })

  it('is not there at the usual level, nor is the id of a stranger believed', async () => {
    running = await startLogged({})
    const response = await asked('a stranger', '/', { 'x-request-id': 'of-a-stranger' })
    assert.equal(response.status, 200)
    assert.notEqual(ids['a stranger'], 'of-a-stranger')
    const ended = await running.stop()
    assert.deepEqual(
      ended.lines.map(({ msg }) => msg),
      ['the authority is up', 'the authority is stopping', 'the authority has stopped'],
    )
  })
})

describe('a path that is shown', () => {
  it('keeps words and no ids', () => {
    const shown = {
      '/v1/sessions/abc-DEF_123?x=1': '/v1/sessions/*',
      '/.well-known/openid-configuration': '/.well-known/openid-configuration',
      '/status-lists/0': '/status-lists/0',
      '/a/ann@example.com/b': '/a/*/b',
      '/a/ann%40example.com': '/a/*',
      'http://user:pass@host/x': '*//*/x',
      '': '',
    }
    for (const [url, path] of Object.entries(shown)) assert.equal(loggedPath({ url } as never), path, url)
  })
})
