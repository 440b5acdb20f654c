import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { until } from '../packages/guard/test/peer.ts'
import { createBrowser } from '../tools/browser.ts'
import { IPHONE, sidOf } from './own.ts'
import { CLIENTS, freePort, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, signIn } from './sign-in.ts'

/* What docs/accounts.md and docs/sessions.md show, run as it stands. */

const ROOT = join(import.meta.dirname, '..')
const read = (name: string) => readFileSync(join(ROOT, 'docs', name), 'utf8')
const blocks = (page: string, kind: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${kind}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, code = '']) => code)

describe('the docs about accounts and sessions', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  /** Runs a block of commands as it stands; gives what each answered. */
  async function run(code: string, variables: Record<string, string>) {
    const commands = code.replaceAll('http://localhost:4600', authority.issuer)
    const env = { PATH: `${process.env.PATH}`, ...variables }
    const { stdout } = await promisify(execFile)('bash', ['-ec', commands.replace(/^curl/gm, 'echo; curl')], {
      env,
    })
    return stdout
      .trim()
      .split(/\n+/)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }
  const shapes = (json: string) =>
    json
      .trim()
      .split(/\n(?=\{)/)
      .map((one) => JSON.parse(one.replaceAll('…', 'x')))

  it('a password and an e-mail change as they say, and answer what they say', async () => {
    const person = { email: 'docs@example.com', password: 'the old one', name: 'D' }
    await addAccount(authority.authority.store, person, 'test', Date.now())
    const token = (await signIn(authority.issuer, { person })).access_token
    await signIn(authority.issuer, { person })
    const page = read('accounts.md')
    const answers = await run(`${blocks(page, 'sh')[0]}`, { TOKEN: token })
    const shown = shapes(`${blocks(page, 'json')[0]}`)
    const keys = (answer: object) => Object.keys(answer).sort()
    assert.deepEqual(answers.map(keys), shown.map(keys))
    assert.deepEqual(answers[1], shown[1])
    authority.advance(301_000)
    const late = await fetch(`${authority.issuer}/v1/account/password`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    })
    const challenge = `WWW-Authenticate: ${late.headers.get('www-authenticate')}`
    assert.ok(page.includes(challenge), challenge)
    const { error } = (await late.json()) as { error: string }
    assert.ok(page.includes(error), error)
  })

  it('sessions are listed and ended as they say', async () => {
    const own = await signIn(authority.issuer)
    const other = await signIn(authority.issuer, { browser: createBrowser(IPHONE) })
    const page = read('sessions.md')
    const [list, ended] = await run(`${blocks(page, 'sh')[0]}`, {
      TOKEN: own.access_token,
      SID: sidOf(other),
    })
    const [listShown, endedShown] = shapes(`${blocks(page, 'json')[0]}`)
    const first = (answer: unknown) =>
      Object.keys((answer as { sessions: object[] }).sessions[0] as object).sort()
    assert.deepEqual(first(list), first(listShown))
    for (const key of Object.keys(endedShown)) assert.ok(key in (ended ?? {}), key)
    assert.equal(await lives(authority.issuer, other.access_token), false)
  })

  it('the program with hooks starts, and its rules count', async () => {
    const folder = mkdtempSync(join(ROOT, 'test/docs-'))
    const port = await freePort()
    const settings = { port, data: join(folder, 'data'), clients: CLIENTS, logLevel: 'silent' }
    writeFileSync(join(folder, 'rescind.json'), JSON.stringify(settings))
    writeFileSync(join(folder, 'server.ts'), `${blocks(read('accounts.md'), 'ts')[0]}`)
    const { RESCIND_STORE: _, ...env } = process.env
    const child = spawn(process.execPath, ['server.ts'], {
      ...{ cwd: folder, env },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    try {
      const url = `http://localhost:${port}/oauth/jwks`
      await until(async () => (await fetch(url).catch(() => undefined))?.status === 200)
    } finally {
      const gone = child.exitCode !== null || new Promise((resolve) => child.once('exit', resolve))
      child.kill()
      await gone
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
