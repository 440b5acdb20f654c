// `npm run soak [-- --seconds N] [--sqlite]`: two authorities on one PostgreSQL (or one on SQLite) under an even load; whether
// their memory and their handles stay where they are.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createGuard } from '@rescind/guard'
import { readConfig } from '../packages/authority/src/config.ts'
import { createIndexes } from '../packages/authority/src/feed/indexes.ts'
import { openKeyRing } from '../packages/authority/src/keys/ring.ts'
import { openData } from '../packages/authority/src/open-data.ts'
import { type Postgres, startPostgres } from '../test/postgres.ts'
import { startRoundRobin } from '../test/round-robin.ts'
import { freePort } from '../test/setup.ts'
import { openSession, type Parts } from './fill.ts'
import { median } from './measure.ts'

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const API = 'https://api.example'
const GUARD = { clientId: 'soak-api', clientSecret: randomBytes(24).toString('base64url') }
/** Devices that are signed in at any time, and how long each waits between two things, in ms. */
const DEVICES = 40
const THINK = 150
/** Each refresh token is used so often before its session ends. */
const REFRESHES = 6
/**
 * What the last quarter may have more than the second, as a share: of what is left after a garbage collection, and of all that the
 * system has given, of which the engine takes and returns tens of megabytes as it likes.
 */
const GROWTH = 0.15
const LOOSE_GROWTH = 0.35
const HANDLES = 10

type Sample = { at: number; memory: number[]; heap: number[]; handles: number[] }

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '480' }, sqlite: { type: 'boolean' } },
})
const seconds = Number(values.seconds)
const folder = mkdtempSync(join(tmpdir(), 'rescind-soak-'))
const postgres: Postgres | undefined = values.sqlite ? undefined : await startPostgres()
const children: ChildProcess[] = []
const metrics: number[] = []
const front = await freePort()
const issuer = `http://localhost:${front}`

async function startProcess(store: string | undefined): Promise<number> {
  const [port, watched] = [await freePort(), await freePort()]
  metrics.push(watched)
  const file = join(folder, `rescind-${port}.json`)
  const app = {
    client_id: 'bench-app',
    redirect_uris: ['https://app.example/callback'],
    token_endpoint_auth_method: 'none',
  }
  writeFileSync(
    file,
    JSON.stringify({
      ...{
        port,
        issuer,
        store,
        data: join(folder, 'data'),
        logLevel: 'error',
        metrics: { port: watched },
        tokens: { accessTokenSeconds: 60 },
      },
      clients: [{ ...app, firstParty: true }],
      resources: [
        {
          resource: API,
          scopes: { 'notes:read': 'Read' },
          client_id: GUARD.clientId,
          client_secret: GUARD.clientSecret,
        },
      ],
    }),
  )
  const child = spawn(process.execPath, [CLI, 'serve', '--config', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  children.push(child)
  for (
    let tries = 0;
    (await fetch(`http://localhost:${port}/readyz`).catch(() => undefined))?.status !== 200;
    tries++
  ) {
    if (tries > 400) throw new Error('an authority did not get ready')
    await pause(25)
  }
  return port
}

const counts: Record<string, number> = {}
const count = (what: string) => {
  counts[what] = (counts[what] ?? 0) + 1
}
async function form(path: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
  const response = await fetch(issuer + path, { method: 'POST', body: new URLSearchParams(fields), headers })
  return { status: response.status, body: (await response.json()) as Record<string, string> }
}

/** Somebody who signs in, comes back a few times, and logs out; again and again. */
async function device(
  parts: Parts,
  next: () => Promise<number>,
  guard: ReturnType<typeof createGuard>,
  over: () => boolean,
) {
  const basic = `Basic ${btoa(`${GUARD.clientId}:${GUARD.clientSecret}`)}`
  while (!over()) {
    let { accessToken, refreshToken = '' } = await openSession(parts, await next(), { refreshable: true })
    count('opened')
    for (let n = 0; n < REFRESHES && !over(); n++) {
      await pause(THINK * (0.5 + Math.random()))
      const fresh = await form('/oauth/token', {
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
        client_id: 'bench-app',
      })
      if (fresh.status !== 200) throw new Error(`refresh: ${fresh.status} ${JSON.stringify(fresh.body)}`)
      accessToken = `${fresh.body.access_token}`
      refreshToken = `${fresh.body.refresh_token}`
      count('refreshed')
      await guard.check(accessToken)
      const asked = await form('/oauth/introspect', { token: accessToken }, { authorization: basic })
      if (`${asked.body.active}` !== 'true') throw new Error('a live token is called dead')
      count('checked')
    }
    const body = JSON.stringify({ accessToken, refreshToken })
    const revoked = await fetch(`${issuer}/v1/revoke`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', prefer: 'wait=2' },
    })
    if (revoked.status !== 200) throw new Error(`revoke: ${revoked.status} ${await revoked.text()}`)
    await revoked.arrayBuffer()
    count('revoked')
    const dead = await form('/oauth/introspect', { token: accessToken }, { authorization: basic })
    if (`${dead.body.active}` !== 'false') throw new Error('a dead token lives')
    count('refused')
  }
}

/** In MB. */
async function heapOf(port: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const of = (name: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1])
  return (of('nodejs_heap_size_used_bytes') + of('nodejs_external_memory_bytes')) / 2 ** 20
}

async function sample(at: number): Promise<Sample> {
  const of = ({ pid }: ChildProcess) => {
    const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return { memory: Number(kilobytes) / 1024, handles: readdirSync(`/proc/${pid}/fd`).length }
  }
  const all = children.map(of)
  const heap = await Promise.all(metrics.map(heapOf))
  return { at, heap, memory: all.map(({ memory }) => memory), handles: all.map(({ handles }) => handles) }
}

/** What the second quarter and the last one have, of each process. */
function growth(
  samples: Sample[],
  of: (sample: Sample) => number[],
  take: (values: number[]) => number,
): { from: number; to: number }[] {
  const quarter = (n: number) => samples.slice((n * samples.length) >> 2, ((n + 1) * samples.length) >> 2)
  return children.map((_, process) => {
    const taken = (n: number) => take(quarter(n).map((one) => of(one)[process] as number))
    return { from: taken(1), to: taken(3) }
  })
}

async function soak(): Promise<boolean> {
  const store = await postgres?.newDatabase()
  const ports: number[] = []
  for (let n = 0; n < (store === undefined ? 1 : 2); n++) ports.push(await startProcess(store))
  const balancer = await startRoundRobin(front, ports)
  const config = readConfig({ config: join(folder, `rescind-${ports[0]}.json`) }, {})
  const { store: own, seal } = await openData(config, { serving: false })
  const ring = await openKeyRing(own, seal, Date.now())
  const indexes = await createIndexes({ store: own, ttl: config.policy.accessTokenTtl, now: Date.now })
  const guard = createGuard({ issuer, audience: API, credentials: GUARD })
  await guard.ready()
  const end = performance.now() + seconds * 1000
  const over = () => performance.now() > end
  const load = Promise.all(
    Array.from({ length: DEVICES }, () =>
      device({ store: own, config, ring, resource: API }, indexes.next, guard, over),
    ),
  )
  const samples: Sample[] = []
  const watch = (async () => {
    while (!over()) {
      await pause(Math.min(5_000, seconds * 20))
      const one = await sample(Math.round(seconds - (end - performance.now()) / 1000))
      samples.push(one)
      if (process.stderr.isTTY || samples.length % 12 === 0)
        console.log(
          `${one.at} s: ${one.memory.map((mb) => mb.toFixed(0)).join(', ')} MB (${one.heap.map((mb) => mb.toFixed(0)).join(', ')} in use); ${one.handles.join(', ')} handles; ${JSON.stringify(counts)}`,
        )
    }
  })()
  await Promise.all([load, watch])
  guard.close()
  await own.close()
  await balancer.stop()
  console.log(`${seconds} s, ${JSON.stringify(counts)}`)
  // The lowest is what was left after a collection.
  const heap = growth(
    samples,
    (one) => one.heap,
    (values) => Math.min(...values),
  )
  const memory = growth(samples, (one) => one.memory, median)
  const handles = growth(samples, (one) => one.handles, median)
  const words = ({ from, to }: { from: number; to: number }) => `${from.toFixed(0)} → ${to.toFixed(0)}`
  for (const n of children.keys())
    console.log(
      `process ${n + 1}, second quarter → last: ${words(heap[n] as never)} MB after collections, ${words(memory[n] as never)} MB resident, ${words(handles[n] as never)} handles`,
    )
  const within = (all: { from: number; to: number }[], share: number) =>
    all.every(({ from, to }) => to < from * (1 + share))
  return (
    within(heap, GROWTH) &&
    within(memory, LOOSE_GROWTH) &&
    handles.every(({ from, to }) => to < from + HANDLES)
  )
}

try {
  const flat = await soak()
  console.log(flat ? 'Memory and handles are flat.' : 'Something grows.')
  process.exitCode = flat ? 0 : 1
} finally {
  for (const child of children) child.kill()
  await postgres?.stop()
  rmSync(folder, { recursive: true, force: true })
}
