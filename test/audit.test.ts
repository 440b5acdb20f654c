import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { addAccount } from '../packages/authority/src/accounts.ts'
import type { AuditEvent } from '../packages/authority/src/domain/audit.ts'
import { until } from '../packages/guard/test/peer.ts'
import { adminToken, subOf } from './account.ts'
import { sidOf } from './own.ts'
import { PERSON, startTestAuthority, type TestAuthority, tamper } from './setup.ts'
import { post, signIn } from './sign-in.ts'

/* The audit log: what it says, to whom, and that nobody changes it unseen. */

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const DAY = 24 * 60 * 60_000

type Run = { status: number; stdout: string; stderr: string }
type Shown = Omit<AuditEvent, 'at'> & { n: number; hash: string; at: string }

function rescind(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { maxBuffer: 1e9 }, (error, stdout, stderr) =>
      resolve({ status: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}
const linesOf = ({ stdout }: Run) => stdout.split('\n').filter(Boolean)
const recordsOf = (run: Run) => linesOf(run).map((line) => JSON.parse(line) as Shown)
const anchorIn = ({ stdout }: Run) => /--anchor: (\d+:[\w-]{43})$/m.exec(stdout)?.[1] as string

const folders: string[] = []
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-audit-'))
  folders.push(folder)
  return folder
}
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

describe('the audit log', () => {
  let authority: TestAuthority
  let data: string[]
  let sid: string
  let sub: string
  before(async () => {
    authority = await startTestAuthority({ trustProxy: true })
    const { store, now } = authority.authority
    const other = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
    await addAccount(store, other, 'test', now())
    const tokens = await signIn(authority.issuer)
    const others = await signIn(authority.issuer, { person: other })
    sid = sidOf(tokens)
    sub = await subOf(authority)
    for (const one of [tokens, others]) {
      const pair = { accessToken: one.access_token, refreshToken: one.refresh_token }
      assert.equal((await post(`${authority.issuer}/v1/revoke`, pair)).status, 200)
    }
    data = ['--data', authority.config.data]
  })
  after(() => authority.stop())

  async function get(query: string, headers: Record<string, string> = {}) {
    const authorization = `Bearer ${await adminToken(authority)}`
    return fetch(`${authority.issuer}/v1/admin/audit${query}`, { headers: { authorization, ...headers } })
  }
  const pageOf = async (query: string) =>
    (await (await get(query)).json()) as { records: Shown[]; next?: string }

  it('shows the newest records, the oldest of them first', async () => {
    const all = recordsOf(await rescind('audit', 'show', ...data))
    assert.deepEqual(
      all.map(({ n }) => n),
      all.map((_, index) => index + 1),
    )
    const two = recordsOf(await rescind('audit', 'show', '--limit', '2', ...data))
    assert.deepEqual(two, all.slice(-2))
    assert.deepEqual(linesOf(await rescind('audit', 'show', '--limit', '0', ...data)), [])
  })

  it('says who ended what, whose it was, when, from where, why and how', async () => {
    const [record] = recordsOf(await rescind('audit', 'show', '--sid', sid, '--event', 'revocation', ...data))
    const { actor, reason, address, seq, detail, clientId } = record as Shown
    assert.deepEqual(
      [actor, record?.sub, record?.sid, reason, address, clientId],
      [`account:${sub}`, sub, sid, 'user_logout', '127.0.0.1', 'app'],
    )
    assert.ok((seq ?? 0) > 0 && detail && Math.abs(Date.parse(`${record?.at}`) - Date.now()) < 60_000)
  })

  it('is picked from by each of its fields, alike on the command line and over HTTP', async () => {
    const all = recordsOf(await rescind('audit', 'export', ...data))
    const revocation = all.find(({ event, sid: of }) => event === 'revocation' && of === sid) as Shown
    const queries: Record<string, (record: Shown) => boolean> = {
      'event=revocation': ({ event }) => event === 'revocation',
      [`sub=${sub}`]: (record) => record.sub === sub,
      [`sid=${sid}`]: (record) => record.sid === sid,
      'client=app': ({ clientId }) => clientId === 'app',
      [`actor=account:${sub}`]: ({ actor }) => actor === `account:${sub}`,
      'reason=user_logout': ({ reason }) => reason === 'user_logout',
      'address=127.0.0.1': ({ address }) => address === '127.0.0.1',
      [`seq=${revocation.seq}`]: ({ seq }) => seq === revocation.seq,
      [`since=${revocation.at}`]: ({ at }) => at >= revocation.at,
      [`until=${revocation.at}`]: ({ at }) => at < revocation.at,
      'since=2000-01-01': () => true,
      'actor=nobody': () => false,
      [`event=revocation&sub=${sub}`]: (record) => record.event === 'revocation' && record.sub === sub,
    }
    for (const [query, fits] of Object.entries(queries)) {
      const flags = query.split('&').flatMap((pair) => {
        const [name, value] = pair.split(/=(.*)/)
        return [`--${name}`, `${value}`]
      })
      const expected = all.filter(fits)
      assert.deepEqual(recordsOf(await rescind('audit', 'export', ...flags, ...data)), expected, query)
      const { records, next } = await pageOf(`?${query}`)
      assert.deepEqual([records.reverse(), next], [expected, undefined], query)
    }
  })

  it('comes over HTTP in pages, and as lines', async () => {
    const all = recordsOf(await rescind('audit', 'export', ...data))
    const seen: Shown[] = []
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const page: Awaited<ReturnType<typeof pageOf>> = await pageOf(
        `?limit=3${cursor && `&cursor=${cursor}`}`,
      )
      assert.ok(page.records.length <= 3)
      seen.push(...page.records)
      cursor = page.next
    }
    assert.deepEqual(seen.reverse(), all)
    const response = await get('?event=revocation', { accept: 'application/x-ndjson' })
    assert.equal(response.headers.get('content-type'), 'application/x-ndjson')
    const lines = (await response.text()).trim().split('\n')
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      all.filter(({ event }) => event === 'revocation'),
    )
  })

  it('is for administrators, who are told what is wrong with a question', async () => {
    const tokens = await signIn(authority.issuer)
    const path = `${authority.issuer}/v1/admin/audit`
    assert.equal((await fetch(path)).status, 401)
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    assert.equal((await fetch(path, { headers })).status, 401)
    for (const query of [
      '?evnet=x',
      '?since=yesterday',
      '?seq=-1',
      '?limit=0',
      '?limit=1001',
      '?cursor=x',
      '?sub=',
    ]) {
      const response = await get(query)
      assert.equal(response.status, 400, query)
      assert.equal(((await response.json()) as { code: string }).code, 'VALIDATION_ERROR')
    }
    for (const flags of [
      ['--since', 'yesterday'],
      ['--seq', 'x'],
    ]) {
      const run = await rescind('audit', 'export', ...flags, ...data)
      assert.deepEqual([run.status, run.stdout], [2, ''])
      assert.match(run.stderr, /^--\w+ must be/)
    }
  })

  it('puts what happened to an account into one report', async () => {
    const run = await rescind('accounts', 'report', PERSON.email, '--json', ...data)
    const report = JSON.parse(run.stdout)
    const path = `/v1/admin/accounts/${sub}/report`
    const authorization = `Bearer ${await adminToken(authority)}`
    const overHttp = await fetch(authority.issuer + path, { headers: { authorization } })
    assert.deepEqual(await overHttp.json(), report)
    assert.equal(report.account.email, PERSON.email)
    assert.equal(report.account.password, undefined)
    assert.ok(report.sessions.some((one: { sid: string; reason?: string }) => one.sid === sid && one.reason))
    assert.ok(report.devices.length >= 1)
    const [from] = report.signIns
    assert.deepEqual([from.address, from.failed, from.succeeded >= 1], ['127.0.0.1', 0, true])
    assert.ok(report.records.every((one: Shown) => one.sub === sub))
    const words = await rescind('accounts', 'report', sub, ...data)
    assert.match(words.stdout, /^ann@example\.com\t/)
    assert.match(words.stdout, /127\.0\.0\.1\t\d+ succeeded\t0 failed/)
    assert.match(words.stdout, new RegExp(`${sid}\tapp\topened .*\\tended .* user_logout`))
    const nobody = await rescind('accounts', 'report', 'nobody@example.com', ...data)
    assert.equal(nobody.status, 1)
  })

  it('shows at most what fits into memory', async () => {
    const { status, stderr } = await rescind('audit', 'show', '--limit', '100001', ...data)
    assert.equal(status, 2)
    assert.match(stderr, /allowed: up to 100000/)
  })

  it('a report shows what a flood of failures would hide, and cannot steer a terminal', async () => {
    const { store, now } = authority.authority
    const person = { email: 'flooded@example.com', password: 'a password', name: 'F' }
    await addAccount(store, person, 'test', now())
    const flooded = await subOf(authority, person.email)
    const who = { at: now(), actor: 'anonymous', sub: flooded, address: '198.51.100.9' }
    const changed = { ...who, event: 'account.email_changed' as const, detail: 'from \u001b[2J\u009b2J@x' }
    const failed = Array.from({ length: 1_500 }, () => ({ ...who, event: 'signin.failed' as const }))
    await store.transact({ kind: 'write', records: [], audit: [changed, ...failed], at: now() })
    const { stdout } = await rescind('accounts', 'report', flooded, ...data)
    assert.match(stdout, /account\.created/)
    assert.match(stdout, /account\.email_changed.*from \[2J/)
    assert.match(stdout, /198\.51\.100\.9\t0 succeeded\t1500 failed/)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    assert.doesNotMatch(stdout, /[\u001b\u009b]/)
  })

  describe('when somebody changes it', () => {
    let copy: string
    let anchor: string
    let length: number
    /** Changes a copy of the database, and says what `verify` says. */
    async function tampered(sql: string, ...args: string[]) {
      if (authority.config.store !== undefined) return inPlace(sql, ...args)
      const folder = newFolder()
      copyFileSync(join(copy, 'rescind.db'), join(folder, 'rescind.db'))
      copyFileSync(join(copy, 'master.key'), join(folder, 'master.key'))
      const db = new DatabaseSync(join(folder, 'rescind.db'))
      db.exec(sql)
      db.close()
      return rescind('audit', 'verify', ...args, '--data', folder)
    }
    /** A database in use can’t be copied as a file can: it is changed, and put back. */
    async function inPlace(sql: string, ...args: string[]) {
      await tamper(
        authority,
        'CREATE TABLE kept AS TABLE audit; CREATE TABLE kept_anchor AS TABLE audit_anchor',
      )
      await tamper(authority, sql)
      const run = await rescind('audit', 'verify', ...args, '--data', copy)
      const back = (to: string, from: string) =>
        `TRUNCATE ${to}; INSERT INTO ${to} TABLE ${from}; DROP TABLE ${from};`
      await tamper(authority, back('audit', 'kept') + back('audit_anchor', 'kept_anchor'))
      return run
    }
    before(async () => {
      if (authority.config.store === undefined) await copyData()
      else copy = authority.config.data
      const whole = await rescind('audit', 'verify', '--data', copy)
      assert.equal(whole.status, 0, whole.stderr)
      anchor = anchorIn(whole)
      length = Number(anchor.split(':')[0])
      assert.match(whole.stdout, new RegExp(`is whole: ${length} records, 1 to ${length}\\.`))
    })
    async function copyData() {
      copy = newFolder()
      const db = new DatabaseSync(join(authority.config.data, 'rescind.db'))
      db.exec(`VACUUM INTO '${join(copy, 'rescind.db')}'`)
      db.close()
      copyFileSync(join(authority.config.data, 'master.key'), join(copy, 'master.key'))
    }

    const changes: Record<string, [sql: string, brokenAt: number]> = {
      'a word in it': ["UPDATE audit SET body = replace(body, 'test', 'tess') WHERE n = 1", 1],
      'its time': [
        `UPDATE audit SET at = at + 1, body = replace(body, '"at":' || at, '"at":' || (at + 1)) WHERE n = 3`,
        3,
      ],
      'the column that filters go by': ["UPDATE audit SET sub = 'somebody' WHERE n = 2", 2],
      'the time that filters go by': ['UPDATE audit SET at = 1 WHERE n = 2', 2],
      'a field that is added': [`UPDATE audit SET body = '{"more":1,' || substr(body, 2) WHERE n = 2`, 2],
      'a field that is taken away': [
        `UPDATE audit SET body = replace(body, '"actor":', '"a":') WHERE n = 2`,
        2,
      ],
      'what it holds, for something else': ["UPDATE audit SET body = 'x' WHERE n = 4", 4],
      'its hash': ["UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), '_') WHERE n = 2", 2],
      'a record that goes': ['DELETE FROM audit WHERE n = 3', 3],
      'the first one that goes': ['DELETE FROM audit WHERE n = 1', 1],
      'two that change places': [
        'UPDATE audit SET n = 900000 WHERE n = 2; UPDATE audit SET n = 2 WHERE n = 3; UPDATE audit SET n = 3 WHERE n = 900000',
        2,
      ],
      'the first ones that go, with a made-up place of a pruning': [
        'INSERT INTO audit_anchor SELECT 1, n, hash, at FROM audit WHERE n = 3; DELETE FROM audit WHERE n <= 3',
        3,
      ],
    }
    for (const [what, [sql, brokenAt]] of Object.entries(changes)) {
      it(`finds ${what}, and says where`, async () => {
        const run = await tampered(sql)
        assert.equal(run.status, 1, run.stdout)
        assert.match(run.stderr, new RegExp(`broken at ${brokenAt}:`))
      })
    }

    it('finds an end that was cut off, by what was noted before', async () => {
      const cut = `DELETE FROM audit WHERE n > ${length - 2}`
      assert.equal((await tampered(cut)).status, 0, 'the chain alone can’t know')
      const found = await tampered(cut, '--anchor', anchor)
      assert.equal(found.status, 1)
      assert.match(found.stderr, new RegExp(`broken at ${length - 1}: it ends before record ${length}`))
      assert.equal((await tampered('SELECT 1', '--anchor', anchor)).status, 0)
      assert.equal((await tampered('SELECT 1', '--anchor', 'x')).status, 2)
    })

    it('finds it in an export too, by any byte', async () => {
      const file = join(newFolder(), 'audit.jsonl')
      const exported = (await rescind('audit', 'export', '--data', copy)).stdout
      const verify = (text: string, ...args: string[]) => {
        writeFileSync(file, text)
        return rescind('audit', 'verify', '--file', file, ...args)
      }
      const whole = await verify(exported)
      assert.deepEqual([whole.status, anchorIn(whole)], [0, anchor], whole.stderr)
      const lines = exported.trimEnd().split('\n')
      const rest = `${lines.slice(2).join('\n')}\n`
      const headless = await verify(rest)
      assert.equal(headless.status, 1)
      assert.match(headless.stderr, /broken at 1: records 1 to 2 are missing, and no pruning says so/)
      const second = JSON.parse(`${lines[1]}`) as Shown
      const anchored = await verify(rest, '--anchor', `2:${second.hash}`)
      assert.equal(anchored.status, 0, anchored.stderr)
      // Any byte of the third line: a seeded choice of them, because each is a process.
      const [from, to] = [lines.slice(0, 2).join('\n').length + 1, lines.slice(0, 3).join('\n').length]
      for (let i = 0; i < 12; i++) {
        const at = from + ((i * 7919) % (to - from))
        const changed = `${exported.slice(0, at)}${exported[at] === 'x' ? 'y' : 'x'}${exported.slice(at + 1)}`
        const run = await verify(changed)
        assert.equal(run.status, 1, changed.slice(from, to))
        assert.match(run.stderr, /broken/)
      }
      assert.equal((await verify(exported.slice(0, -30))).status, 1, 'half a line')
      assert.equal((await rescind('audit', 'verify', '--file', `${file}-none`)).status, 1)
      assert.equal(readFileSync(file, 'utf8').length > 0, true)
    })
  })
})

describe('old audit records', () => {
  it('are cut off after as many days as the configuration says; what is left still verifies', async () => {
    const authority = await startTestAuthority({ audit: { keepDays: 40 }, logLevel: 'silent' })
    const { issuer } = authority
    await signIn(issuer)
    const data = ['--data', authority.config.data]
    const noted = anchorIn(await rescind('audit', 'verify', ...data))
    const old = Number(noted.split(':')[0])
    authority.advance(39 * DAY)
    await authority.restart()
    assert.equal(recordsOf(await rescind('audit', 'export', ...data))[0]?.n, 1)
    await signIn(issuer)
    authority.advance(2 * DAY)
    await authority.restart()
    const kept = async () => recordsOf(await rescind('audit', 'export', ...data))
    await until(async () => (await kept())[0]?.n === old + 1)
    const [told] = (await kept()).filter(({ event }) => event === 'audit.pruned')
    assert.equal(told?.detail, `up to ${noted.replace(':', ' ')}`)
    const whole = await rescind('audit', 'verify', ...data)
    assert.equal(whole.status, 0, whole.stderr)
    assert.equal(
      (await rescind('audit', 'verify', '--anchor', noted, ...data)).status,
      0,
      'the place of the cut',
    )
    const older = await rescind('audit', 'verify', '--anchor', `1:${noted.split(':')[1]}`, ...data)
    assert.match(older.stderr, /were cut off/)
    const page = await authority.authority.store.read({ kind: 'audit-page', filter: {}, limit: 1_000 })
    assert.equal(page.records.at(-1)?.n, old + 1)
    await authority.stop()
  })
})
