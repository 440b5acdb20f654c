import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createBrowser } from '../tools/browser.ts'
import { type Failover, startFailover } from './failover.ts'
import { type Postgres, startPostgres } from './postgres.ts'
import { spawnGuard } from './processes.ts'
import { API, API_GUARD, CLIENTS, freePort, PERSON } from './setup.ts'
import { lives, post, refresh, signIn, type Tokens } from './sign-in.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const DEVICES = 8

/** An authority that can be started and stopped, at a port of its own. */
function createProcess(file: string, port: number) {
  let child: ChildProcess | undefined
  let log = ''
  return {
    url: `http://localhost:${port}`,
    log: () => log,
    async start() {
      child = spawn(process.execPath, [CLI, 'serve', '--config', file, '--port', `${port}`], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      child.stderr?.on('data', (chunk) => (log += chunk))
      for (let tries = 0; tries < 600; tries++) {
        const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
        if (ready?.ok) return
        await pause(25)
      }
      throw new Error(`the authority did not come up: ${log}`)
    },
    /** @returns its exit code, and how long it took, in ms */
    async terminate(signal: NodeJS.Signals = 'SIGTERM') {
      const began = performance.now()
      const gone = new Promise<number | null>((resolve) => child?.once('exit', resolve))
      child?.kill(signal)
      return { code: await gone, ms: performance.now() - began }
    },
  }
}

describe('authorities that are restarted one after the other, under load', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-rolling-'))
  let postgres: Postgres
  let balancer: Failover
  let issuer: string
  let processes: ReturnType<typeof createProcess>[]

  before(async () => {
    postgres = await startPostgres()
    const ports = [await freePort(), await freePort()]
    balancer = await startFailover(ports)
    issuer = `http://localhost:${balancer.port}`
    const file = join(folder, 'rescind.json')
    const resource = {
      ...{ resource: API, name: 'Example API', scopes: { 'notes:read': 'Read your notes' } },
      ...{ client_id: API_GUARD.clientId, client_secret: API_GUARD.clientSecret },
    }
    const config = {
      ...{ issuer, data: join(folder, 'data'), store: await postgres.newDatabase() },
      ...{ masterKey: randomBytes(32).toString('base64url'), sessions: { maxPerAccount: 1_000 } },
      ...{ clients: CLIENTS, resources: [resource] },
    }
    writeFileSync(file, JSON.stringify(config))
    const added = spawn(process.execPath, [CLI, 'accounts', 'add', PERSON.email, '--config', file])
    added.stdin.end(`${PERSON.password}\n`)
    await new Promise((resolve) => added.once('exit', resolve))
    processes = ports.map((port) => createProcess(file, port))
    await Promise.all(processes.map((one) => one.start()))
  })
  after(async () => {
    await Promise.all(processes.map((one) => one.terminate('SIGKILL')))
    await balancer.stop()
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('lose no request, no revocation and no guard', async () => {
    const browser = createBrowser()
    const waiting: Tokens[] = []
    for (let i = 0; i < DEVICES * 5; i++) waiting.push(await signIn(issuer, { browser }))
    const guard = await spawnGuard(issuer)
    const wrong: unknown[] = []
    const dead: string[] = []
    let [refreshes, over] = [0, false]

    async function device() {
      for (let tokens = waiting.pop(); tokens && !over; tokens = waiting.pop()) {
        for (let i = 0; i < 15 && !over; i++) {
          const answer = await refresh(issuer, tokens.refresh_token)
          if (answer.status !== 200) return wrong.push([answer.status, await answer.text()])
          tokens = { ...tokens, ...((await answer.json()) as Tokens) }
          refreshes++
          await pause(20)
        }
        const { access_token: accessToken, refresh_token: refreshToken } = tokens
        const answer = await post(`${issuer}/v1/revoke`, { accessToken, refreshToken })
        if (answer.status !== 200) return wrong.push([answer.status, await answer.text()])
        dead.push(accessToken)
        if (await lives(issuer, accessToken)) wrong.push('a revoked token is taken')
      }
    }
    const failed = (error: Error) => wrong.push(error.cause ?? error)
    const load = Array.from({ length: DEVICES }, () => device().catch(failed))
    const stops: { code: number | null; ms: number }[] = []
    for (const one of processes) {
      await pause(300)
      const stopping = one.terminate()
      stops.push(await stopping)
      await assert.rejects(fetch(`${one.url}/healthz`))
      await one.start()
    }
    over = true
    await Promise.all(load)

    assert.deepEqual(wrong, [])
    assert.deepEqual(Object.keys(balancer.refused), ['ECONNREFUSED'], 'nothing but a refusal sent anybody on')
    assert.ok(refreshes > 50 && dead.length > 4, `${refreshes} refreshes, ${dead.length} revocations`)
    for (const { code, ms } of stops) {
      assert.equal(code, 0)
      assert.ok(ms < 6_000, `it took ${Math.round(ms)} ms to stop`)
    }
    for (const one of processes) assert.match(one.log(), /"msg":"the authority has stopped"/)
    for (const token of dead) {
      for (const { url } of processes)
        assert.equal(await lives(url, token), false, 'what was revoked stays so')
      assert.equal((await guard.check(token)).ok, false, 'the guard heard of all of them')
    }
    const fresh = await signIn(issuer, { browser })
    assert.equal((await guard.check(fresh.access_token)).ok, true)
    await post(`${issuer}/v1/revoke`, { accessToken: fresh.access_token })
    for (let tries = 0; tries < 100 && (await guard.check(fresh.access_token)).ok; tries++) await pause(20)
    assert.equal((await guard.check(fresh.access_token)).ok, false)
    assert.equal((await guard.state()).live, true)
    guard.stop()
  })
})
