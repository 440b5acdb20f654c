import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { createBrowser } from '../tools/browser.ts'
import { API, CLIENTS, freePort, PERSON } from './setup.ts'
import { lives, post, refresh, signIn, type Tokens } from './sign-in.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')

describe('kill -9', () => {
  const data = mkdtempSync(join(tmpdir(), 'rescind-crash-'))
  const file = join(data, 'rescind.json')
  let child: ChildProcess | undefined
  after(() => {
    child?.kill('SIGKILL')
    rmSync(data, { recursive: true, force: true })
  })

  const rescind = (args: string[], input = '') =>
    execFileSync(process.execPath, [CLI, ...args, '--config', file], { input, encoding: 'utf8' })

  async function start(issuer: string): Promise<void> {
    child = spawn(process.execPath, [CLI, 'serve', '--config', file], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    for (let tries = 0; tries < 400; tries++) {
      const up = await fetch(`${issuer}/oauth/jwks`).catch(() => undefined)
      if (up?.status === 200) return
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    throw new Error('the authority did not come up')
  }
  async function kill(): Promise<void> {
    const gone = new Promise((resolve) => child?.once('exit', resolve))
    child?.kill('SIGKILL')
    await gone
  }

  it('right after an answered revoke, under load, ten times: what was answered stays dead', async () => {
    const port = await freePort()
    const issuer = `http://localhost:${port}`
    const resources = [{ resource: API, scopes: { 'notes:read': 'Read your notes' } }]
    writeFileSync(
      file,
      JSON.stringify({ port, data: join(data, 'store'), logLevel: 'error', clients: CLIENTS, resources }),
    )
    rescind(['accounts', 'add', PERSON.email], `${PERSON.password}\n`)
    const dead: Tokens[] = []
    for (let round = 0; round < 10; round++) {
      await start(issuer)
      const browser = createBrowser()
      const victims: Tokens[] = []
      for (let i = 0; i < 12; i++) victims.push(await signIn(issuer, { browser }))
      const load = victims.map(({ refresh_token }) => refresh(issuer, refresh_token).catch(() => undefined))
      const answered = new Set<Tokens>()
      const revokes = victims.map(async (tokens) => {
        const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
        const response = await post(`${issuer}/v1/revoke`, pair).catch(() => undefined)
        if (response?.status === 200) answered.add(tokens)
      })
      // The first few answers are enough: the rest is in flight when the process dies.
      while (answered.size < 1 + (round % 4)) await new Promise((resolve) => setTimeout(resolve, 1))
      await kill()
      await Promise.all([...load, ...revokes])
      dead.push(...answered)
    }
    await start(issuer)
    assert.ok(dead.length >= 10)
    for (const tokens of dead) {
      assert.equal(await lives(issuer, tokens.access_token), false, 'an access token came back')
      assert.equal((await refresh(issuer, tokens.refresh_token)).status, 400, 'a refresh token came back')
    }
    assert.match(rescind(['audit', 'verify']), /The audit chain is whole: \d+ records/)
    await kill()
  })
})
