import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Results } from '../bench/results.ts'

/* That the benchmarks work and that what they time is right; never how fast it is. */

const results = mkdtempSync(join(tmpdir(), 'rescind-bench-test-'))
after(() => rmSync(results, { recursive: true, force: true }))

function bench(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const script = join(import.meta.dirname, '../bench/run.ts')
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { timeout: 300_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr })
    })
  })
}

/** What one run of all of them, in tiny sizes, has found. */
let ran: Awaited<ReturnType<typeof bench>>
before(async () => {
  ran = await bench('--quick', '--no-peers', '--results', results)
})

function measured(name: string): Results {
  assert.equal(ran.code, 0, ran.stderr)
  const read = JSON.parse(readFileSync(join(results, `${name}.json`), 'utf8')) as Results
  for (const { what } of read.rows) assert.ok(ran.stdout.includes(what), `the table has: ${what}`)
  return read
}

function assertShape({ name, machine, rows }: Results, expected: string) {
  assert.equal(name, expected)
  assert.deepEqual(Object.keys(machine), ['cpu', 'cores', 'memory', 'os', 'node', 'date'])
  assert.ok(rows.length > 0)
  for (const { what, value, unit, spread, peer, ratio } of rows) {
    assert.ok(what && Number.isFinite(value) && typeof unit === 'string' && spread, what)
    assert.equal(peer === undefined, ratio === undefined, what)
    if (peer) assert.ok(peer.name && peer.configuration && Number.isFinite(peer.value) && peer.spread, what)
  }
}

/** Every row that counts has the number that it has to have. */
function assertWhole({ rows }: Results, least: number) {
  const counts = rows.filter(({ spread }) => spread === 'a count')
  assert.ok(counts.length >= least, `${counts.length} counts`)
  for (const { what, value, target } of counts) {
    assert.equal(`= ${value.toLocaleString('en-US')}`, target, what)
  }
}

describe('the benchmarks', () => {
  it('all run, and say nothing of their progress to a pipe', () => {
    assert.deepEqual([ran.code, ran.stderr], [0, ''])
    assert.match(ran.stdout, /all of them:/)
    assert.match(ran.stdout, /^- --quick: .* mean nothing$/m)
  })

  it('check: the dead are refused, the living accepted, all of them', () => {
    const found = measured('check')
    assertShape(found, 'check')
    assertWhole(found, 10)
    assert.ok(found.rows.some(({ peer }) => peer?.name.startsWith('jose')))
  })

  it('propagation: every guard refuses every revoked token', () => {
    const found = measured('propagation')
    assertShape(found, 'propagation')
    assertWhole(found, 12)
  })

  it('scale: each guard that is looked at has every revocation that it was sent, applied once', () => {
    const found = measured('scale')
    assertShape(found, 'scale')
    assertWhole(found, 8)
    const applied = found.rows.filter(({ what }) => what.endsWith('revocations applied in them'))
    assert.ok(applied.length === 2 && applied.every(({ value }) => value > 100))
  })

  it('sessions: what is listed is whole, what is ended is ended, and every guard refuses what was cut off', () => {
    const found = measured('sessions')
    assertShape(found, 'sessions')
    assertWhole(found, 5)
  })

  it('memory: a store that was filled with rows is served', () => {
    const found = measured('memory')
    assertShape(found, 'memory')
    assert.ok(found.rows.length === 6 && found.rows.every(({ value }) => value > 0))
  })

  it('growth: what was revoked among many sessions is refused, and each size is held against the fewest', () => {
    const found = measured('growth')
    assert.equal(found.rows.length, 12)
    for (const { what, value, ratio } of found.rows)
      assert.ok(value >= 0 && (ratio === undefined) === what.includes('among 200 '), what)
  })

  it('the endpoints: what was revoked is refused afterwards, and nothing else is', () => {
    for (const name of ['revoke', 'introspect', 'refresh', 'mcp', 'postgres', 'steady']) {
      const found = measured(name)
      assert.equal(found.name, name)
      assert.ok(found.rows.length >= 5 && found.rows.every(({ value }) => Number.isFinite(value)))
      assertWhole(found, { revoke: 4, mcp: 2 }[name] ?? 0)
    }
  })

  it('peers: left out where they would have to be installed', () => {
    assert.match(ran.stdout, /the peers were left out: --no-peers/)
  })

  it('an unknown name gets the list, and exit code 2', async () => {
    const { code, stdout, stderr } = await bench('nonsense')
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, /no benchmark "nonsense"[\s\S]*check[\s\S]*propagation/)
  })
})
