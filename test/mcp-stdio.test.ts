import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import {
  type Agent,
  agentOf,
  answerOf,
  newClient,
  OVER_HTTP,
  refusalOf,
  type Signed,
  signInWith,
} from './mcp-agent.ts'
import { freePort, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, signIn } from './sign-in.ts'

/* The tools over stdio: a process that a host starts, with the authority elsewhere, there or not there. */

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const PATH = `${process.env.PATH}`

async function start(
  t: TestContext,
  args: string[],
  env: Record<string, string> = {},
  pin?: string,
): Promise<Agent> {
  const client = newClient(pin)
  t.after(() => client.close())
  const command = process.execPath
  await client.connect(
    new StdioClientTransport({ command, args: [CLI, 'mcp', ...args], env: { PATH, ...env } }),
  )
  return agentOf(client)
}

/** Runs `rescind mcp` with these lines as its whole input, and waits for its end. */
async function converse(args: string[], lines: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [CLI, 'mcp', ...args], { env: { PATH, ...env } })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
    if (out.trim().split('\n').length >= lines.length) child.stdin.end()
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  child.stdin.on('error', () => undefined)
  const ended = once(child, 'close')
  if (lines.length === 0) child.stdin.end()
  else child.stdin.write(lines.map((line) => `${line}\n`).join(''))
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
  const [code] = (await ended) as [number | null]
  clearTimeout(timer)
  return { code, out, err }
}

for (const pin of [undefined, '2026-07-28']) {
  describe(`the stdio server, ${pin ?? '2025-11-25'}`, () => {
    let authority: TestAuthority
    before(async () => {
      authority = await startTestAuthority()
    })
    after(() => authority.stop())

    it('signs in, refreshes, logs out and proves it, at an authority that RESCIND_URL names', async (t) => {
      const agent = await start(t, [], { RESCIND_URL: authority.issuer }, pin)
      const signed = await signInWith(agent)
      const { refreshToken } = signed
      const next = answerOf<Signed>(await agent.call('refresh_oauth_tokens', { refreshToken }))
      assert.equal(await lives(authority.issuer, next.accessToken), true)
      const pair = { accessToken: next.accessToken, refreshToken: next.refreshToken }
      assert.deepEqual(answerOf(await agent.call('revoke_oauth_tokens', pair)), {
        success: true,
        message: 'OAuth tokens revoked successfully. You have been logged out.',
      })
      assert.equal(await lives(authority.issuer, signed.accessToken), false)
      const proof = await agent.call('verify_oauth_revocation', { accessToken: next.accessToken })
      assert.equal(answerOf(proof).revoked, true)
      assert.equal(refusalOf(await agent.call('whoami')).code, 'AUTHENTICATION_FAILED')
    })

    it('lists and refuses as the authority itself does over HTTP', async (t) => {
      const near = await start(t, ['--url', authority.issuer], {}, pin)
      const far = await OVER_HTTP[pin ?? '2025-11-25']?.(authority.issuer)
      assert.ok(far)
      t.after(() => far.close())
      assert.deepEqual(await near.list(), await far.list())
      for (const [name, args, code] of [
        ['revoke_oauth_tokens', {}, 'VALIDATION_ERROR'],
        ['revoke_oauth_tokens', { accessToken: 7 }, 'VALIDATION_ERROR'],
        ['revoke_oauth_tokens', { accessToken: 'x', more: 1 }, 'VALIDATION_ERROR'],
        ['revoke_oauth_tokens', { accessToken: 'nonsense' }, 'INVALID_TOKEN'],
        ['refresh_oauth_tokens', { refreshToken: 'nonsense' }, 'INVALID_GRANT'],
        ['handle_oauth_callback', { code: 'x', state: 'y' }, 'INVALID_STATE'],
        ['verify_oauth_revocation', { accessToken: 'nonsense' }, 'INVALID_TOKEN'],
        ['no_such_tool', {}, 'VALIDATION_ERROR'],
      ] as [string, Record<string, unknown>, string][]) {
        const refusal = refusalOf(await near.call(name, args))
        assert.equal(refusal.code, code, name)
        assert.deepEqual(refusal, refusalOf(await far.call(name, args)), name)
      }
    })

    it('whoami is asked with RESCIND_ACCESS_TOKEN; once that is dead, everything is refused', async (t) => {
      const { access_token } = await signIn(authority.issuer, {
        resource: `${authority.issuer}/mcp`,
        scope: 'account:read',
      })
      const env = { RESCIND_ACCESS_TOKEN: access_token }
      const agent = await start(t, ['--url', authority.issuer], env, pin)
      assert.equal(answerOf(await agent.call('whoami')).email, PERSON.email)
      answerOf(await agent.call('revoke_oauth_tokens', { accessToken: access_token }))
      for (const name of ['whoami', 'start_oauth_flow', 'whoami']) {
        const { code, error } = refusalOf(await agent.call(name))
        assert.equal(code, 'AUTHENTICATION_FAILED', name)
        assert.ok(!error.includes(access_token))
      }
      const later = await start(t, ['--url', authority.issuer], env, pin)
      assert.equal(refusalOf(await later.call('whoami')).code, 'AUTHENTICATION_FAILED')
    })
  })
}

describe('the stdio server and an authority that comes and goes', () => {
  it('UNAVAILABLE while it is away, at the start and later, and at work again without a restart', async (t) => {
    const authority = await startTestAuthority()
    t.after(() => authority.stop())
    const agent = await start(t, ['--url', authority.issuer])
    assert.equal(answerOf(await agent.call('start_oauth_flow')).success, true)
    const { accessToken, refreshToken } = await signInWith(agent)
    await authority.close()
    const pair = { accessToken, refreshToken }
    for (const [name, args] of [
      ['revoke_oauth_tokens', pair],
      ['start_oauth_flow', {}],
    ] as const) {
      const { code, error } = refusalOf(await agent.call(name, args))
      assert.equal(code, 'UNAVAILABLE', name)
      assert.ok(error.includes(authority.issuer), 'it says where it looked')
      assert.ok(!error.includes(accessToken))
    }
    const born = await start(t, ['--url', authority.issuer])
    assert.equal((await born.list()).length, 9, 'it can be listed all the same')
    assert.equal(refusalOf(await born.call('start_oauth_flow')).code, 'UNAVAILABLE')

    await authority.restart()
    assert.equal(answerOf(await agent.call('revoke_oauth_tokens', pair)).success, true)
    assert.equal(await lives(authority.issuer, accessToken), false)
    assert.equal(answerOf(await born.call('start_oauth_flow')).success, true)
  })

  it('many calls at once, while it is away and after', async (t) => {
    const authority = await startTestAuthority()
    t.after(() => authority.stop())
    const agent = await start(t, ['--url', authority.issuer])
    const calls = () => Promise.all([1, 2, 3, 4, 5].map(() => agent.call('start_oauth_flow')))
    for (const result of await calls()) assert.equal(answerOf(result).success, true)
    await authority.close()
    for (const result of await calls()) assert.equal(refusalOf(result).code, 'UNAVAILABLE')
    await authority.restart()
    for (const result of await calls()) assert.equal(answerOf(result).success, true)
  })
})

describe('rescind mcp as a process', () => {
  const HELLO = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
  })
  const CALL = JSON.stringify({
    jsonrpc: '2.0',
    id: 2,
    method: 'tools/call',
    params: { name: 'whoami', arguments: {} },
  })

  it('writes nothing but the protocol to its output, and ends with its input', async () => {
    const url = `http://localhost:${await freePort()}`
    const secret = 'a token that nobody may see'
    const { code, out, err } = await converse(['--url', url], [HELLO, CALL], { RESCIND_ACCESS_TOKEN: secret })
    assert.equal(code, 0, err)
    const answers = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { jsonrpc: string; id: number; result: Record<string, unknown> })
    assert.deepEqual(answers.map(({ jsonrpc, id }) => `${jsonrpc} ${id}`).sort(), ['2.0 1', '2.0 2'])
    const hello = answers.find(({ id }) => id === 1)?.result as { serverInfo: { name: string } }
    assert.equal(hello.serverInfo.name, 'rescind')
    assert.ok(!(out + err).includes(secret))
  })

  it('ends at once when there is no input', async () => {
    const { code, out } = await converse(['--url', 'http://localhost:1'], [])
    assert.deepEqual([code, out], [0, ''])
  })

  it('an address that is none is said at the start', async () => {
    const { code, out, err } = await converse(['--url', 'not an address'], [HELLO])
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, /--url is "not an address"/)
  })
})
