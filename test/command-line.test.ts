import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { createGuard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { openFeed } from './feed-client.ts'
import { API, API_GUARD, freePort, startTestAuthority } from './setup.ts'
import { lives, post, refreshed, signIn } from './sign-in.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')

function rescind(args: string[], input = '', env: Record<string, string> = {}) {
  const options = { input, encoding: 'utf8' as const, env: { ...process.env, ...env } }
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], options)
  return { status, stdout, stderr }
}

/** For an authority that runs in this process, which must not wait. */
const rescindWhileServing = (args: string[]) => promisify(execFile)(process.execPath, [CLI, ...args])
const outcomeWhileServing = (args: string[]): Promise<{ status: number; stdout: string; stderr: string }> =>
  rescindWhileServing(args).then(
    (output) => ({ status: 0, ...output }),
    (failed) => ({ status: failed.code, stdout: failed.stdout, stderr: failed.stderr }),
  )

const data = mkdtempSync(join(tmpdir(), 'rescind-cli-'))
after(() => rmSync(data, { recursive: true, force: true }))

describe('the rescind command', () => {
  const at = ['--data', data]

  it('adds, lists and changes accounts', () => {
    const added = rescind(['accounts', 'add', 'bo@example.com', '--name', 'Bo', ...at], 'a long password\n')
    assert.deepEqual([added.status, added.stderr], [0, ''])
    assert.match(rescind(['accounts', 'list', ...at]).stdout, /^bo@example\.com\t[0-9a-f-]{36}\tBo\n$/)
    assert.equal(rescind(['accounts', 'set-password', 'bo@example.com', ...at], 'another one\n').status, 0)
    const audit = rescind(['audit', 'show', ...at])
      .stdout.trim()
      .split('\n')
    assert.deepEqual(
      audit.map((line) => JSON.parse(line).event),
      ['account.created', 'account.password_set'],
    )
  })

  it('says what is wrong, with an exit code of its own', () => {
    const cases: [string[], string, number, RegExp][] = [
      [['accounts', 'add', 'bo@example.com', ...at], 'a long password\n', 1, /exists/],
      [['accounts', 'add', 'cy@example.com', ...at], 'short\n', 1, /8 to 1024 characters/],
      [['accounts', 'add', 'not an address', ...at], 'a long password\n', 1, /not an e-mail/],
      [['accounts', 'set-password', 'nobody@example.com', ...at], 'a long password\n', 1, /no account/],
      [['accounts', 'add', ...at], '', 2, /accounts add EMAIL/],
      [['revokee'], '', 2, /no command "revokee"/],
      [['revoke', ...at], '', 2, /revoke session SID/],
      [['revoke', 'session', 'x', ...at], '', 2, /--reason TEXT/],
      [['revoke', 'session', 'x', '--reason', 'x', ...at], '', 2, /`reason` must have at least 3 characters/],
      [['serve', '--prot', '1'], '', 2, /--prot/],
      [['serve', '--port', 'x', ...at], '', 2, /`port` is "x" \(from --port\)/],
      [[], '', 2, /Usage: rescind/],
    ]
    for (const [args, input, status, message] of cases) {
      const result = rescind(args, input)
      assert.equal(result.status, status, args.join(' '))
      assert.match(result.stderr, message)
      assert.doesNotMatch(result.stderr, /\n\s+at /, 'a stack for what is no fault of ours')
    }
    assert.match(rescind(['--help']).stdout, /Usage: rescind/)
  })

  it('shows how the command is used that was given, and all commands only where there is no such one', () => {
    const unsaid = rescind(['revoke', 'session', 'x', ...at]).stderr
    assert.match(unsaid, /^Say why .*\n\nUsage: rescind COMMAND/)
    assert.match(unsaid, /\n {2}revoke session SID[\s\S]*--reason TEXT/)
    assert.doesNotMatch(unsaid, /accounts add/)
    for (const asked of [
      ['keys', '--help'],
      ['help', 'keys'],
    ])
      assert.deepEqual(
        rescind(asked).stdout.match(/^ {2}\S+ \S+/gm),
        ['  keys list', '  keys rotate', '  keys drop'],
        asked.join(' '),
      )
    assert.match(rescind(['audit', ...at]).stderr, /^There is no command "audit"\.[\s\S]*audit show/)
    for (const args of [['revokee'], ['help']])
      assert.match(Object.values(rescind(args)).join(''), /accounts add[\s\S]*guards/, args.join(' '))
    assert.match(rescind(['serve', '--prot', '1']).stderr, /^Unknown option '--prot'\.\n\nUsage/)
  })

  it('takes an id that begins with a dash for what it is', () => {
    for (const kid of ['-abcdefghijklmno', '--bcdefghijklmno']) {
      const dropped = rescind(['keys', 'drop', kid, ...at])
      assert.deepEqual([dropped.status, /There is no such signing key/.test(dropped.stderr)], [1, true], kid)
      assert.equal(rescind([...at, 'keys', 'drop', kid]).status, 1)
    }
    const device = '-bcdefghijklmnopqrstuv'
    const none = rescind(['audit', 'show', '--sid', device, ...at])
    assert.deepEqual([none.status, none.stdout, none.stderr], [0, '', ''])
    assert.equal(rescind(['keys', 'drop', '--no-such-flag', ...at]).status, 2)
  })

  it('finds a changed audit record', () => {
    assert.match(rescind(['audit', 'verify', ...at]).stdout, /whole: 2 records/)
    const db = new DatabaseSync(join(data, 'rescind.db'))
    db.exec("UPDATE audit SET body = replace(body, 'cli:', 'nobody:') WHERE n = 1")
    db.close()
    const hidden = mkdtempSync(join(tmpdir(), 'rescind-cli-'))
    rescind(['accounts', 'add', 'a@example.com', '--data', hidden], 'a long password\n')
    const column = new DatabaseSync(join(hidden, 'rescind.db'))
    column.exec("UPDATE audit SET sub = 'somebody else'")
    column.close()
    assert.equal(rescind(['audit', 'verify', '--data', hidden]).status, 1, 'a column that filters go by')
    rmSync(hidden, { recursive: true, force: true })
    const broken = rescind(['audit', 'verify', ...at])
    assert.equal(broken.status, 1)
    assert.match(broken.stderr, /broken at 1: record 1/)
  })

  it('does not open data with another master key', () => {
    const other = Buffer.alloc(32, 1).toString('base64url')
    const made = mkdtempSync(join(tmpdir(), 'rescind-cli-'))
    assert.equal(rescind(['keys', 'rotate', '--data', made]).status, 0)
    const refused = rescind(['serve', '--data', made, '--port', '0'], '', { RESCIND_MASTER_KEY: other })
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /do not open with this master key/)
    rmSync(made, { recursive: true, force: true })
  })
})

describe('a key rotation', () => {
  it('reaches a running authority: new tokens by the new key, old ones still good', async () => {
    const authority = await startTestAuthority()
    const { issuer } = authority
    const before = await signIn(issuer)
    const kidOf = (token: string) => JSON.parse(atob(`${token.split('.')[0]}`)).kid as string
    const rotated = await outcomeWhileServing(['keys', 'rotate', '--data', authority.config.data])
    const kid = /Signing with (\S+) from/.exec(rotated.stdout)?.[1]
    assert.ok(kid, rotated.stderr)
    let published: string[] = []
    for (let tries = 0; tries < 200 && published[0] !== kid; tries++) {
      const { keys } = (await (await fetch(`${issuer}/oauth/jwks`)).json()) as {
        keys: { kid: string; d?: string }[]
      }
      published = keys.map((key) => key.kid)
      assert.ok(
        keys.every((key) => key.d === undefined),
        'a private key was published',
      )
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    assert.deepEqual(published, [kid, kidOf(before.access_token)])
    const after = await refreshed(issuer, before.refresh_token)
    assert.equal(kidOf(after.access_token), kid)
    assert.equal(kidOf((await signIn(issuer)).access_token), kid)
    assert.equal(await lives(issuer, before.access_token), true)
    authority.advance(25 * 3_600_000)
    await authority.restart()
    const { keys } = (await (await fetch(`${issuer}/oauth/jwks`)).json()) as { keys: unknown[] }
    assert.equal(keys.length, 1, 'a day later the old key is published no more')
    assert.equal(authority.authority.ring().verification.size, 1, 'nor does it make a token live')
    const logout = { accessToken: before.access_token, refreshToken: after.refresh_token }
    assert.equal((await post(`${issuer}/v1/revoke`, logout)).status, 200)
    assert.equal(await lives(issuer, after.access_token), false)
    await authority.stop()
  })
})

describe('a key that was dropped', () => {
  it('takes with it what it signed, at the authority and at guards; sessions go on with the next one', async () => {
    const authority = await startTestAuthority()
    const { issuer } = authority
    const guard = createGuard({ issuer, audience: API, credentials: API_GUARD, onStale: 'deny' })
    await guard.ready()
    const before = await signIn(issuer)
    const { sub } = await guard.check(before.access_token)
    const kid = JSON.parse(atob(`${before.access_token.split('.')[0]}`)).kid as string
    const drop = (which: string) =>
      outcomeWhileServing(['keys', 'drop', which, '--data', authority.config.data])
    const none = await drop('nonsense')
    assert.equal(none.status, 1)
    assert.match(none.stderr, /rescind keys list/)
    assert.equal((await drop('root')).status, 1, 'nor is any other secret one')
    assert.equal((await drop('')).status, 2)
    const known = await outcomeWhileServing(['keys', 'list', '--data', authority.config.data])
    assert.equal(known.stdout.match(/\n/g)?.length, 1)
    const dropped = await drop(kid)
    const signing = /Signing with (\S+)\./.exec(dropped.stdout)?.[1]
    assert.ok(signing && signing !== kid, dropped.stderr)
    await until(async () => !(await lives(issuer, before.access_token)))
    const refused = () =>
      guard.check(before.access_token).then(
        () => false,
        () => true,
      )
    await until(refused)
    const after = await refreshed(issuer, before.refresh_token)
    await until(async () => (await guard.check(after.access_token).catch(() => undefined))?.sub === sub)
    const listed = (await outcomeWhileServing(['keys', 'list', '--data', authority.config.data])).stdout
    assert.ok(!listed.includes(kid) && listed.includes(signing))
    const told = await outcomeWhileServing([
      'audit',
      'show',
      '--event',
      'keys.dropped',
      '--data',
      authority.config.data,
    ])
    assert.ok(told.stdout.includes(`signing key ${kid}`))
    const forged = { accessToken: before.access_token, refreshToken: after.refresh_token }
    assert.equal((await post(`${issuer}/v1/revoke`, forged)).status, 400, 'it logs nobody out either')
    guard.close()
    await authority.stop()
  })
})

describe('rescind guards', () => {
  it('lists the guards of the running authority, and how far behind they are', async () => {
    const authority = await startTestAuthority()
    const { port, data } = authority.config
    const at = ['--data', data, '--port', `${port}`]
    const guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await guard.ready()
    const mute = await openFeed(authority.issuer, API_GUARD)
    await mute.next('ready')
    const { access_token, refresh_token } = await signIn(authority.issuer)
    const pair = { accessToken: access_token, refreshToken: refresh_token }
    await post(`${authority.issuer}/v1/revoke`, pair)
    const { seq } = authority.authority.feed.head
    const list = async () => JSON.parse((await rescindWhileServing(['guards', '--json', ...at])).stdout)
    await until(async () =>
      (await list()).guards.some((one: { acknowledged: number }) => one.acknowledged === seq),
    )
    const { guards } = await list()
    assert.deepEqual(
      guards.map(({ resources, behind }: { resources: string[]; behind: number }) => [resources, behind]),
      [
        [[API], 0],
        [[API], 1],
      ],
    )
    const { stdout } = await rescindWhileServing(['guards', ...at])
    assert.match(stdout, /^The newest revocation is \d+; 2 guards are connected\.\n/)
    assert.match(stdout, /up to date/)
    assert.match(stdout, /1 behind/)
    guard.close()
    mute.socket.terminate()
    await authority.stop()
  })

  it('is not for tokens that people get', async () => {
    const authority = await startTestAuthority()
    const { access_token } = await signIn(authority.issuer)
    const ask = (headers: Record<string, string>) => fetch(`${authority.issuer}/v1/admin/guards`, { headers })
    assert.equal((await ask({})).status, 401)
    assert.equal((await ask({ authorization: `Bearer ${access_token}` })).status, 401)
    await authority.stop()
  })

  it('says what to do when no authority answers', async () => {
    const { status, stderr } = rescind(['guards', '--data', data, '--port', `${await freePort()}`])
    assert.equal(status, 1)
    assert.match(stderr, /does not answer\. Is it running with this configuration\?/)
  })
})
