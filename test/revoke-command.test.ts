import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createGuard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { audited, subOf } from './account.ts'
import { openFeed } from './feed-client.ts'
import { type GuardedApi, startGuardedApi } from './guarded-api.ts'
import { sidOf } from './own.ts'
import { API, API_GUARD, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, refresh, signIn } from './sign-in.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const WHY = ['--reason', 'a test of it']

type Run = { status: number; stdout: string; stderr: string }

/** As a process of its own, without a terminal. */
function run(args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [CLI, ...args], (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    )
    child.stdin?.end()
  })
}

describe('rescind revoke', () => {
  let authority: TestAuthority
  let api: GuardedApi
  let stopped = false
  before(async () => {
    authority = await startTestAuthority()
    api = await startGuardedApi(authority.issuer)
  })
  after(async () => {
    await api.close()
    if (!stopped) await authority.stop()
  })
  const rescind = (...args: string[]) =>
    run([...args, '--data', authority.config.data, '--port', `${authority.config.port}`])
  const head = () => authority.authority.store.read({ kind: 'head' })

  it('counts, and does nothing until it is told yes', async () => {
    const tokens = await signIn(authority.issuer)
    const before = await head()
    const dry = await rescind('revoke', 'account', PERSON.email, ...WHY, '--dry-run')
    assert.deepEqual([dry.status, dry.stdout], [0, 'This would end 1 session of 1 account in 1 client.\n'])
    const json = await rescind('revoke', 'client', 'app', ...WHY, '--dry-run', '--json')
    assert.deepEqual(JSON.parse(json.stdout), { dryRun: true, sessions: 1, accounts: 1, clients: 1 })
    const unsure = await rescind('revoke', 'session', sidOf(tokens), ...WHY)
    assert.equal(unsure.status, 2)
    assert.match(unsure.stderr, /would end 1 session .* Say --yes to do it; nothing was ended/)
    assert.deepEqual(await head(), before)
    assert.equal(await lives(authority.issuer, tokens.access_token), true)
  })

  it('ends it through the running authority, and says which guards confirmed it', async () => {
    const [tokens, other] = [await signIn(authority.issuer), await signIn(authority.issuer)]
    for (const one of [tokens, other]) assert.equal(await api.ask(one.access_token), 200)
    const open = await api.open(tokens.access_token)
    const done = await rescind('revoke', 'session', sidOf(tokens), ...WHY, '--yes')
    assert.deepEqual([done.status, done.stderr], [0, ''])
    assert.equal(done.stdout, 'Ended 1 session of 1 account in 1 client.\n1 guard confirmed it.\n')
    assert.equal(await open.socket, '4401 admin_forced')
    await open.request
    assert.equal(await api.ask(tokens.access_token), 401)
    assert.equal(await api.ask(other.access_token), 200)
    const [record] = (await audited(authority, 'revocation', await subOf(authority))).slice(-1)
    assert.match(`${record?.actor} ${record?.detail}`, /^cli:\S+ session: a test of it$/)
    const again = await rescind('revoke', 'session', sidOf(tokens), ...WHY, '--yes')
    assert.deepEqual([again.status, again.stdout], [0, 'It had ended before; nothing changed.\n'])

    const mute = await openFeed(authority.issuer, API_GUARD)
    const { guard } = await mute.next('ready')
    const rest = await rescind(
      'revoke',
      'account',
      await subOf(authority),
      ...WHY,
      '--why',
      'account_compromise',
      '--yes',
    )
    assert.ok(rest.stdout.includes(`Not confirmed yet: ${guard} of ${API}.`), rest.stdout)
    mute.socket.terminate()
    assert.equal(await api.ask(other.access_token), 401)
  })

  it('ends a device, a client, and all that was issued before a time', async () => {
    const [mine, elsewhere] = [
      await signIn(authority.issuer),
      await signIn(authority.issuer, { clientId: 'other-app' }),
    ]
    const device = (await authority.authority.store.read({ kind: 'session', sid: sidOf(mine) }))?.device
    assert.equal((await rescind('revoke', 'device', `${device}`, ...WHY, '--yes')).status, 0)
    assert.equal(await lives(authority.issuer, mine.access_token), false)
    assert.equal(await lives(authority.issuer, elsewhere.access_token), true)
    const one = await signIn(authority.issuer)
    const json = await rescind('revoke', 'issued-before', 'now', '--client', 'app', ...WHY, '--yes', '--json')
    const answer = JSON.parse(json.stdout)
    assert.deepEqual([answer.revoked, answer.sessions, answer.guards.waiting], [true, 1, []])
    assert.equal(await api.ask(one.access_token), 401)
    assert.equal(await lives(authority.issuer, elsewhere.access_token), true)
    const time = new Date().toISOString()
    assert.equal((await rescind('revoke', 'issued-before', time, ...WHY, '--yes')).status, 0)
    assert.equal(await api.ask(elsewhere.access_token), 401)
    assert.equal((await refresh(authority.issuer, elsewhere.refresh_token, 'other-app')).status, 400)
    const { stdout } = await rescind('sessions', '--client', 'other-app')
    assert.match(
      stdout,
      new RegExp(`^${sidOf(elsewhere)}\tann@example.com\tother-app\topened .*\tended .* admin_forced\n$`),
    )
    const listed = await rescind('sessions', '--sub', await subOf(authority), '--limit', '2', '--json')
    assert.equal(listed.stdout.trim().split('\n').length, 2)
  })

  it('says what is wrong, with an exit code of its own', async () => {
    const cases: [string[], number, RegExp][] = [
      [['session', 'x', ...WHY], 1, /no such session/],
      [['device', 'x', ...WHY], 1, /no such device/],
      [['account', 'nobody@example.com', ...WHY], 1, /no such account/],
      [['client', 'x', ...WHY, '--yes'], 1, /no such client/],
      [['client', 'app'], 2, /--reason TEXT/],
      [['session', ...WHY], 2, /Usage/],
      [['everything', 'x', ...WHY], 2, /Usage/],
      [['session', 'x', '--client', 'app', ...WHY], 2, /--client goes with issued-before/],
      [['issued-before', 'yesterday', ...WHY], 2, /a time such as 2026-/],
      [['issued-before', '2999-01-01T00:00:00Z', ...WHY], 2, /in the future/],
      [['session', 'x', ...WHY, '--why', 'because'], 2, /`why` must be one of/],
    ]
    const { seq } = await head()
    for (const [args, status, message] of cases) {
      const result = await rescind('revoke', ...args)
      assert.equal(result.status, status, `${args.join(' ')}: ${result.stderr}`)
      assert.match(result.stderr, message)
      assert.doesNotMatch(result.stderr, /\n\s+at /)
    }
    assert.equal((await head()).seq, seq)
  })

  it('guards: one in the singular, under a header, without empty columns', async () => {
    const { stdout } = await rescind('guards')
    const [first, header, row, ...rest] = stdout.trim().split('\n')
    assert.match(`${first}`, /^The newest revocation is \d+; 1 guard is connected\.$/)
    assert.match(`${header}`, /^GUARD\tRESOURCES\t/)
    assert.equal(header?.split('\t').length, row?.split('\t').length)
    assert.ok(row?.split('\t').every((column) => column.trim() !== ''))
    assert.deepEqual(rest, [])
  })

  it('does it in the store where no authority runs; the one that starts knows of it', async () => {
    const tokens = await signIn(authority.issuer)
    const other = await signIn(authority.issuer, { clientId: 'other-app' })
    await authority.close()
    stopped = true
    const refused = await run([
      'guards',
      '--data',
      authority.config.data,
      '--port',
      `${authority.config.port}`,
    ])
    assert.match(refused.stderr, /does not answer/)
    const done = await rescind('revoke', 'client', 'app', ...WHY, '--yes')
    assert.deepEqual([done.status, done.stderr], [0, ''])
    assert.match(done.stdout, /^Ended 1 session of 1 account in 1 client\.\nNo authority runs/)
    const again = await startTestAuthorityOn(authority)
    assert.equal(await lives(authority.issuer, tokens.access_token), false)
    assert.equal((await refresh(authority.issuer, tokens.refresh_token)).status, 400)
    assert.equal(await lives(authority.issuer, other.access_token), true)
    const late = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await late.ready()
    await assert.rejects(late.check(tokens.access_token))
    assert.ok(await late.check(other.access_token))
    late.close()
    assert.equal((await rescind('audit', 'verify')).status, 0)

    // Another process writes while this one serves: a command whose way to it is blocked.
    const elsewhere = ['--data', authority.config.data, '--port', '1']
    const beside = await run(['revoke', 'client', 'other-app', ...WHY, '--yes', ...elsewhere])
    assert.equal(beside.status, 0, beside.stderr)
    await until(async () => !(await lives(authority.issuer, other.access_token)))
    await again()
  })
})

async function startTestAuthorityOn({ config }: TestAuthority) {
  const { startAuthority } = await import('../packages/authority/src/main.ts')
  const { rmSync } = await import('node:fs')
  const running = await startAuthority(config)
  return async () => {
    await running.close()
    rmSync(config.data, { recursive: true, force: true })
  }
}
