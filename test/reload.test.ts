import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { openFeed } from './feed-client.ts'
import { API, API_GUARD, CLIENTS, freePort, PERSON } from './setup.ts'
import { authorizationRequest, lives, post, refresh, signIn } from './sign-in.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const NEW_API = { clientId: 'new-guard', clientSecret: 'the secret of the new guard' }
const RESOURCE = {
  ...{ resource: API, name: 'Example API', scopes: { 'notes:read': 'Read your notes' } },
  ...{ client_id: API_GUARD.clientId, client_secret: API_GUARD.clientSecret },
}
const NEW_RESOURCE = {
  ...{ resource: 'https://new.example', name: 'New API', scopes: { 'new:read': 'Read what is new' } },
  ...{ client_id: NEW_API.clientId, client_secret: NEW_API.clientSecret },
}
const NEW_CLIENT = {
  ...CLIENTS[0],
  client_id: 'new-app',
  redirect_uris: ['https://new-app.example/callback'],
}

describe('SIGHUP', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-reload-'))
  const file = join(folder, 'rescind.json')
  let child: ChildProcess
  let issuer: string
  let settings: Record<string, unknown>
  let log = ''

  const write = (changes: Record<string, unknown>) =>
    writeFileSync(file, JSON.stringify({ ...settings, ...changes }))
  /** Has it read the file again; gives the line that it logs. */
  async function reload(): Promise<Record<string, unknown>> {
    const from = log.length
    child.kill('SIGHUP')
    for (let tries = 0; tries < 400; tries++) {
      const line = /^.*"msg":"the configuration .*$/m.exec(log.slice(from))?.[0]
      if (line) return JSON.parse(line)
      await pause(25)
    }
    throw new Error(`nothing was logged: ${log}`)
  }
  const asksFor = async (clientId: string) =>
    (await fetch(authorizationRequest(issuer, { clientId }).url, { redirect: 'manual' })).status

  before(async () => {
    const port = await freePort()
    issuer = `http://localhost:${port}`
    settings = { port, data: join(folder, 'data'), clients: CLIENTS, resources: [RESOURCE] }
    write({})
    const added = spawn(process.execPath, [CLI, 'accounts', 'add', PERSON.email, '--config', file])
    added.stdin.end(`${PERSON.password}\n`)
    await new Promise((resolve) => added.once('exit', resolve))
    child = spawn(process.execPath, [CLI, 'serve', '--config', file], { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr?.on('data', (chunk) => (log += chunk))
    for (let tries = 0; tries < 400; tries++) {
      if ((await fetch(`${issuer}/readyz`).catch(() => undefined))?.ok) break
      await pause(25)
    }
  })
  after(async () => {
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await gone
    rmSync(folder, { recursive: true, force: true })
  })

  it('takes over clients and resources; sessions and guards go on', async () => {
    const tokens = await signIn(issuer)
    const feed = await openFeed(issuer, API_GUARD)
    await feed.next('ready')
    assert.equal(await asksFor('new-app'), 400)
    await assert.rejects(openFeed(issuer, NEW_API))
    write({ clients: [...CLIENTS, NEW_CLIENT], resources: [RESOURCE, NEW_RESOURCE] })
    assert.match(`${(await reload()).msg}`, /was read again/)

    const url = authorizationRequest(issuer, { clientId: 'new-app', resource: NEW_RESOURCE.resource })
      .url.replace(
        encodeURIComponent('https://app.example/callback'),
        encodeURIComponent('https://new-app.example/callback'),
      )
      .replace('notes%3Aread', 'new%3Aread')
    const asked = await fetch(url, { redirect: 'manual' })
    assert.match(`${asked.headers.get('location')}`, /\/interaction\//)
    const preflight = await fetch(`${issuer}/oauth/token`, {
      ...{ method: 'OPTIONS', headers: { origin: 'https://new-app.example' } },
    })
    assert.equal(preflight.headers.get('access-control-allow-origin'), 'https://new-app.example')
    const added = await openFeed(issuer, NEW_API)
    await added.next('ready')

    const next = await refresh(issuer, tokens.refresh_token)
    assert.equal(next.status, 200)
    const { access_token: accessToken, refresh_token: refreshToken } = (await next.json()) as typeof tokens
    assert.equal((await post(`${issuer}/v1/revoke`, { accessToken, refreshToken })).status, 200)
    await feed.next('revocation')
    assert.equal(await lives(issuer, accessToken), false)
    added.socket.terminate()
    feed.socket.terminate()
  })

  it('lets go of what is there no more', async () => {
    const feed = await openFeed(issuer, NEW_API)
    await feed.next('ready')
    write({})
    await reload()
    assert.equal((await feed.closed).code, 1012)
    await assert.rejects(openFeed(issuer, NEW_API))
    assert.equal(await asksFor('new-app'), 400)
    const preflight = await fetch(`${issuer}/oauth/token`, {
      ...{ method: 'OPTIONS', headers: { origin: 'https://new-app.example' } },
    })
    assert.equal(preflight.headers.get('access-control-allow-origin'), null)
  })

  it('changes nothing when the file can’t be used, and says why', async () => {
    const bad: [Record<string, unknown> | string, RegExp][] = [
      ['{ "port": ', /not valid JSON/],
      ['{ "masterKey": "hunter2" "port": 1 }', /not valid JSON/],
      ['{ "masterKey": hunter2 }', /not valid JSON/],
      [{ clients: [{ ...NEW_CLIENT, redirect_uris: ['no url'] }] }, /new-app.*can’t be used/],
      [{ clients: [NEW_CLIENT], resources: [{ ...RESOURCE, client_secret: 'shorty' }] }, /resources/],
      [{ colour: 'blue' }, /colour/],
    ]
    for (const [content, why] of bad) {
      if (typeof content === 'string') writeFileSync(file, content)
      else write(content)
      const { msg, error } = await reload()
      assert.equal(msg, 'the configuration was not taken over; nothing has changed')
      assert.match(`${error}`, why)
      assert.doesNotMatch(`${error}`, /shorty|hunter2/)
      assert.equal(await asksFor('app'), 303)
      assert.equal(await asksFor('new-app'), 400)
    }
    await signIn(issuer)
  })

  it('names what takes a restart', async () => {
    write({ name: 'Elsewhere', tokens: { accessTokenSeconds: 60 } })
    assert.deepEqual((await reload()).restart, ['name', 'tokens', 'lifetimes'])
    write({})
    assert.equal((await reload()).restart, undefined)
  })
})
