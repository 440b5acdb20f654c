import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { compareClocks } from '../packages/authority/src/doctor/clock.ts'
import { openFeed } from './feed-client.ts'
import { FROM } from './mailed.ts'
import { startPostgres } from './postgres.ts'
import { API, API_GUARD, freePort, startTestAuthority, type TestAuthority } from './setup.ts'
import { startMailbox } from './smtp.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`

type Finding = { check: string; level: 'ok' | 'warn' | 'fail'; says: string }

const folder = mkdtempSync(join(tmpdir(), 'rescind-doctor-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Runs `rescind doctor` on a configuration. */
async function examine(settings: Record<string, unknown>, flags: string[] = ['--json']) {
  const file = join(folder, `${randomBytes(6).toString('hex')}.json`)
  writeFileSync(file, JSON.stringify(settings))
  const { RESCIND_STORE: _, ...env } = process.env
  const child = spawn(process.execPath, [CLI, 'doctor', '--config', file, ...flags], { env })
  let [printed, errors] = ['', '']
  child.stdout.on('data', (chunk) => (printed += chunk))
  child.stderr.on('data', (chunk) => (errors += chunk))
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  const { findings = [] } = flags.includes('--json')
    ? (JSON.parse(printed || '{}') as { findings?: Finding[] })
    : {}
  const of = (check: string) => findings.filter((one) => one.check === check)
  return { code, printed, errors, findings, of, failed: findings.filter(({ level }) => level === 'fail') }
}

describe('rescind doctor', () => {
  let authority: TestAuthority
  /** What its configuration file would say. */
  let settings: Record<string, unknown>
  before(async () => {
    authority = await startTestAuthority({ store: undefined })
    const { issuer, port, data, clients, resources } = authority.config
    settings = { issuer, port, data, clients, resources }
  })
  after(() => authority.stop())

  it('finds nothing to mend where all is well, and says so in lines', async () => {
    const feed = await openFeed(authority.issuer, API_GUARD)
    await feed.next('ready')
    const mailbox = await startMailbox()
    const listening = createServer().listen(0, '127.0.0.1')
    const all = {
      ...settings,
      mail: { smtp: mailbox.url, from: FROM },
      webhooks: [{ url: 'http://localhost:9/hook', secret: SECRET }],
    }
    const { code, findings } = await examine(all)
    assert.deepEqual(
      findings.filter(({ level }) => level === 'fail'),
      [],
    )
    const checks = [
      'configuration',
      'issuer',
      'clock',
      'data',
      'schema',
      'master key',
      'keys',
      'audit',
      'guards',
      'mail',
    ]
    for (const check of [...checks, 'webhooks', 'disk'])
      assert.ok(
        findings.some((one) => one.check === check),
        `${check} was not looked at`,
      )
    assert.equal(code, 0)
    const lines = await examine(all, [])
    assert.match(lines.printed, /^ok {4}configuration: /)
    assert.match(lines.printed, /^ok {4}guards: Connected: 1\. APIs in the configuration: 1\.$/m)
    assert.equal(lines.printed.trim().split('\n').length, findings.length)
    feed.socket.terminate()
    listening.close()
    await mailbox.close()
  })

  it('says which setting is wrong', async () => {
    const { code, failed } = await examine({
      ...settings,
      port: 'eighty',
      issuer: 'http://login.example.com',
    })
    assert.equal(code, 1)
    assert.deepEqual(new Set(failed.map(({ check }) => check)), new Set(['configuration']))
    assert.match(failed[0]?.says ?? '', /port/)
  })

  it('makes nothing where nothing is, and warns of it', async () => {
    const data = join(folder, 'nowhere')
    const port = await freePort()
    const { code, of } = await examine({ port, data })
    assert.equal(code, 0)
    assert.match(of('issuer')[0]?.says ?? '', /does not answer/)
    assert.equal(of('data')[0]?.level, 'warn')
    assert.equal(existsSync(data), false)
  })

  it('misses no master key of tables that nobody has used, and makes none', async () => {
    const data = join(folder, 'migrated')
    assert.equal(spawnSync(process.execPath, [CLI, 'migrate', '--data', data]).status, 0)
    const { code, of } = await examine({ port: await freePort(), data })
    assert.deepEqual([code, of('master key')[0]?.level, of('schema')[0]?.level], [0, 'ok', 'ok'])
    assert.match(of('master key')[0]?.says ?? '', /The first start makes/)
    assert.equal(existsSync(join(data, 'master.key')), false)
  })

  it('finds another authority, or something else, under the issuer’s name', async () => {
    const port = await freePort()
    const other = await examine({ ...settings, port, issuer: `http://127.0.0.1:${authority.config.port}` })
    assert.match(other.of('issuer')[0]?.says ?? '', /says that its issuer is http:\/\/localhost/)
    assert.equal(other.code, 1)
    const website = createServer((_req, res) => res.end('<html>')).listen(port, '127.0.0.1')
    const page = await examine({ port, data: join(folder, 'nowhere'), issuer: `http://127.0.0.1:${port}` })
    assert.match(page.of('issuer')[0]?.says ?? '', /no discovery document/)
    website.close()
    website.closeAllConnections()
  })

  it('finds what outside does not work, without a word of the passwords', async () => {
    const dead = await freePort()
    const webhooks = [
      { url: 'https://no-such-host.invalid/x', secret: SECRET },
      { url: 'http://192.0.2.7/x', secret: SECRET },
    ]
    const mail = { smtp: `smtp://rescind:hunter2@127.0.0.1:${dead}`, from: FROM }
    const { code, of, printed } = await examine({ ...settings, webhooks, mail })
    assert.equal(code, 1)
    assert.match(of('mail')[0]?.says ?? '', /does not take mail: .*ECONNREFUSED/)
    assert.deepEqual(
      of('webhooks').map(({ level }) => level),
      ['fail', 'warn'],
    )
    assert.doesNotMatch(printed, /hunter2|whsec/)
    assert.match(of('guards').at(-1)?.says ?? '', new RegExp(`No guard of ${API} is connected`))
  })

  it('finds keys that do not open, old ones, data of a newer version, and a changed audit log', async () => {
    await authority.close()
    const { data } = authority.config
    const db = new DatabaseSync(join(data, 'rescind.db'))
    const wrong = await examine({ ...settings, masterKey: randomBytes(32).toString('base64url') })
    assert.match(wrong.of('keys')[0]?.says ?? '', /do not open with this master key/)
    assert.equal(wrong.code, 1)
    db.exec(`UPDATE keys SET created_at = created_at - ${400 * 86_400_000}`)
    assert.match((await examine(settings)).of('keys')[0]?.says ?? '', /400 days old.*rescind keys rotate/)
    db.exec("UPDATE audit SET body = replace(body, 'test', 'someone') WHERE n = 1")
    const changed = await examine(settings)
    assert.match(changed.of('audit')[0]?.says ?? '', /broken at 1/)
    assert.match(changed.of('guards')[0]?.says ?? '', /No authority runs here/)
    db.exec('PRAGMA user_version = 999')
    const newer = await examine(settings)
    assert.match(newer.of('schema')[0]?.says ?? '', /of schema 999.*Upgrade/)
    assert.equal(newer.code, 1)
    db.close()
  })
})

describe('rescind doctor on PostgreSQL', () => {
  it('looks at the server, makes nothing in an empty database, and misses the master key', async () => {
    const postgres = await startPostgres(['-c', 'max_connections=25', '-c', 'full_page_writes=off'])
    const store = await postgres.newDatabase()
    const data = join(folder, 'of-postgres')
    const port = await freePort()
    const empty = await examine({ port, data, store })
    assert.match(empty.of('schema')[0]?.says ?? '', /is empty/)
    assert.match(empty.of('durability')[0]?.says ?? '', /full_page_writes is off/)
    assert.match(empty.of('connections')[0]?.says ?? '', /up to 10 .*has 25.*enough for 2/)
    assert.match(empty.of('standby')[0]?.says ?? '', /no synchronous standby/)
    assert.equal(empty.of('clock')[0]?.level, 'ok')
    assert.equal(existsSync(data), false)
    assert.equal(spawnSync(process.execPath, [CLI, 'migrate', '--store', store, '--data', data]).status, 0)
    const migrated = await examine({ port, data, store })
    assert.equal(migrated.of('master key')[0]?.level, 'warn')
    assert.equal(existsSync(join(data, 'master.key')), false)

    const authority = await startTestAuthority({ store, data })
    const { issuer, resources, clients } = authority.config
    const own = { issuer, port: authority.config.port, data, store, resources, clients }
    const beside = await examine(own)
    assert.match(beside.of('master key')[0]?.says ?? '', /set RESCIND_MASTER_KEY for all/)
    assert.equal(beside.of('keys')[0]?.level, 'ok')
    assert.equal(beside.of('audit')[0]?.level, 'ok')
    const elsewhere = join(folder, 'elsewhere')
    const missing = await examine({ ...own, data: elsewhere })
    assert.match(missing.of('master key')[0]?.says ?? '', /There is no master key/)
    assert.equal(missing.code, 1)
    assert.equal(existsSync(elsewhere), false)
    await authority.stop()
    await postgres.stop()
    const gone = await examine({ ...own, store: store.replace('rescind@', 'rescind:hunter2@') })
    assert.match(gone.of('database')[0]?.says ?? '', /can’t be reached/)
    assert.doesNotMatch(gone.printed, /hunter2/)
    assert.deepEqual(readdirSync(folder).includes('elsewhere'), false)
  })
})

describe('two clocks', () => {
  it('may differ by two seconds; by thirty, tokens are wrong', () => {
    const now = 1_800_000_000_000
    assert.equal(compareClocks('the database', now, now + 1_500).level, 'ok')
    assert.match(compareClocks('the database', now, now + 5_000).says, /5\.0 s ahead of that of the database/)
    assert.equal(compareClocks('the database', now, now - 60_000).level, 'fail')
  })
})
