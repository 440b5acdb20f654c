import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { signAdminToken } from '../packages/authority/src/admin.ts'
import { createIndexes } from '../packages/authority/src/feed/indexes.ts'
import { type Opened, openSession, type Parts } from './fill.ts'
import { type Ground, GUARD, RESOURCE, startGround } from './ground.ts'
import type { Watched } from './guards-process.ts'
import { acrossRuns, percentile, ticks } from './measure.ts'
import { counted, type Row } from './results.ts'
import type { BenchOptions, Measured } from './run.ts'
import { startWorker } from './worker.ts'

/*
 * What ends many sessions, and what is asked of many: all over HTTP, on a store that holds a million.
 */

type Sizes = {
  stored: number
  /** Accounts that are listed, each with this many sessions; each is listed so often. */
  listed: { accounts: number; sessions: number; times: number }
  /** Accounts that end all their sessions, and how many that is. */
  ended: { accounts: number; sessions: number }
  guards: number
  /** How long the authority is left alone to see what its timers take, in ms. */
  rest: number
}
const FULL: Sizes = {
  stored: 1_000_000,
  listed: { accounts: 50, sessions: 20, times: 20 },
  ended: { accounts: 30, sessions: 100 },
  guards: 10,
  rest: 20_000,
}
const QUICK: Sizes = {
  stored: 300,
  listed: { accounts: 3, sessions: 5, times: 2 },
  ended: { accounts: 3, sessions: 10 },
  guards: 2,
  rest: 500,
}
const MS = 1e6
const MB = 1e6
const AT_ONCE = 2_000

type People = { listed: Opened[]; single: Opened[]; crowded: Opened[]; admin: () => Promise<string> }

/** `npm run bench -- sessions` */
export async function sessions({ quick, progress }: BenchOptions): Promise<Measured> {
  const sizes = quick ? QUICK : FULL
  let people: People | undefined
  const ground = await startGround(
    { issued: 1, revoked: 0, live: 1, refreshable: true },
    progress.say,
    async (parts) => {
      people = await populate(parts, sizes, progress.say)
    },
  )
  try {
    if (!people) throw new Error('the store was not filled')
    const of = `among ${sizes.stored.toLocaleString('en-US')} sessions`
    const rows = [
      ...(await measureRest(ground, sizes, of, progress.say)),
      ...(await measureLists(ground, sizes, people, of, progress.say)),
      ...(await measureEndings(ground, sizes, people, of, progress.say)),
      ...(await measureCutOff(ground, sizes, people, of, progress.say)),
    ]
    const notes = [
      'over one kept HTTP connection each, one request at a time; spread: the smallest and the largest of what three parts of the requests give alone',
      `every answer is durable: ${ground.disk}`,
      'processor time and memory of the authority’s process, from /proc (Linux only)',
    ]
    return { rows, notes }
  } finally {
    await ground.stop()
  }
}

async function populate(parts: Parts, sizes: Sizes, say: (what: string) => void): Promise<People> {
  const { store, config, ring } = parts
  const indexes = await createIndexes({ store, ttl: config.policy.accessTokenTtl, now: Date.now })
  const open = async (sub?: string) =>
    openSession(parts, await indexes.next(), { refreshable: true, ...(sub ? { sub } : {}) })
  const account = async (count: number): Promise<Opened> => {
    const sub = randomBytes(12).toString('base64url')
    const now = Date.now()
    const facts = { sub, email: `${sub}@example.com`, name: sub, password: 'none', createdAt: now }
    const audit = { event: 'account.created' as const, at: now, actor: 'bench', sub }
    await store.transact({ kind: 'add-account', account: facts, audit })
    const all = await Promise.all(Array.from({ length: count }, () => open(sub)))
    return all[0] as Opened
  }
  const some = (accounts: number, count: number) =>
    Promise.all(Array.from({ length: accounts }, () => account(count)))
  for (let stored = 0; stored < sizes.stored; stored += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, sizes.stored - stored) }, () => open()))
    say(`filling the store: ${stored} of ${sizes.stored} sessions`)
  }
  return {
    listed: await some(sizes.listed.accounts, sizes.listed.sessions),
    single: await some(sizes.ended.accounts, 1),
    crowded: await some(sizes.ended.accounts, sizes.ended.sessions),
    admin: () => signAdminToken(ring, config.issuer, 'bench', Date.now()),
  }
}

/** One request, timed; it has to be answered with 200. */
async function ask(ground: Ground, path: string, token: string, body?: unknown) {
  const start = ticks()
  const response = await fetch(`${ground.issuer}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const answer: unknown = await response.json()
  const ms = (ticks() - start) / MS
  if (response.status !== 200)
    throw new Error(`${path} answered ${response.status}: ${JSON.stringify(answer)}`)
  return { ms, answer: answer as Record<string, unknown> }
}

function inThree(values: number[]): number[][] {
  const size = Math.ceil(values.length / 3)
  return [0, 1, 2]
    .map((part) => values.slice(part * size, (part + 1) * size))
    .filter((part) => part.length > 0)
}

async function measureLists(
  ground: Ground,
  sizes: Sizes,
  people: People,
  of: string,
  say: (what: string) => void,
) {
  say('listing sessions')
  const times: number[] = []
  let right = 0
  for (let time = 0; time < sizes.listed.times; time++) {
    for (const { accessToken } of people.listed) {
      const { ms, answer } = await ask(ground, '/v1/sessions', accessToken)
      times.push(ms)
      if ((answer.sessions as unknown[]).length === sizes.listed.sessions) right++
    }
  }
  const what = `list ${sizes.listed.sessions} sessions of an account ${of}`
  return [
    { what: `${what}, p50`, unit: 'ms', ...acrossRuns(inThree(times), 0.5) },
    { what: `${what}, p99`, unit: 'ms', ...acrossRuns(inThree(times), 0.99), target: '≤ 5 ms' },
    counted(`${what}: whole answers`, right, times.length),
  ]
}

async function measureEndings(
  ground: Ground,
  sizes: Sizes,
  people: People,
  of: string,
  say: (what: string) => void,
) {
  say('ending accounts')
  const [single, crowded]: [number[], number[]] = [[], []]
  let ended = 0
  const endAll = async ({ accessToken }: Opened) => {
    const { ms, answer } = await ask(ground, '/v1/sessions/revoke-all', accessToken, {})
    ended += (answer.ended as unknown[]).length
    return ms
  }
  // In turns, so that both have the same machine.
  for (const [i, one] of people.single.entries()) {
    single.push(await endAll(one))
    crowded.push(await endAll(people.crowded[i] as Opened))
  }
  const { sessions: count, accounts } = sizes.ended
  const half = percentile(crowded, 0.5) / percentile(single, 0.5)
  const what = `revoke-all of an account ${of}`
  return [
    { what: `${what}: one session, p50`, unit: 'ms', ...acrossRuns(inThree(single), 0.5) },
    { what: `${what}: ${count} sessions, p50`, unit: 'ms', ...acrossRuns(inThree(crowded), 0.5) },
    {
      what: `${what}: ${count} sessions take so many times one`,
      ...{ value: half, unit: '×', spread: 'the ratio of the two before', target: '≤ 3' },
    },
    counted(`${what}: sessions that ended`, ended, accounts * (count + 1)),
  ]
}

async function measureCutOff(
  ground: Ground,
  sizes: Sizes,
  people: People,
  of: string,
  say: (what: string) => void,
) {
  const { guards } = sizes
  say(`starting ${guards} guards`)
  const worker = startWorker('guards-process.ts', [])
  try {
    const api = { issuer: ground.issuer, resource: RESOURCE, credentials: GUARD }
    await worker.ask({ do: 'start', count: guards, ...api })
    const token = (people.listed[0] as Opened).accessToken
    const accepted = await worker.ask<number>({ do: 'accept', token })
    await worker.ask({ do: 'arm', token })
    const admin = await people.admin()
    const resident = residentBytes(ground.pid)
    say('revoking everything')
    const start = ticks()
    const body = { issuedBefore: new Date().toISOString(), reason: 'a benchmark' }
    const { ms } = await ask(ground, '/v1/admin/revocations', admin, body)
    const { refusedAt, late } = await worker.ask<Watched>({ do: 'outcome' })
    const grown = residentBytes(ground.pid) - resident
    const what = `mass revocation ${of}`
    const once = { unit: 'ms', spread: 'once' }
    return [
      {
        what: `${what}: until all ${guards} guards refuse`,
        value: ((refusedAt.at(-1) ?? Number.NaN) - start) / MS,
        ...once,
        target: '≤ 50 ms',
      },
      { what: `${what}: until the durable answer`, value: ms, ...once },
      ...(Number.isFinite(grown)
        ? [
            {
              what: `${what}: memory that the authority grew by`,
              value: grown / MB,
              unit: 'MB',
              spread: 'once',
            },
          ]
        : []),
      counted(`${what}: guards that let the token through before`, accepted, guards),
      counted(`${what}: guards that refuse it after`, refusedAt.length, guards),
      counted(`${what}: let through after the guard had heard`, late, 0),
    ]
  } finally {
    await worker.stop()
  }
}

async function measureRest(
  { pid }: Ground,
  { rest }: Sizes,
  of: string,
  say: (what: string) => void,
): Promise<Row[]> {
  say('leaving the authority alone')
  const [before, start] = [processorMs(pid), ticks()]
  await pause(rest)
  const share = ((processorMs(pid) - before) / ((ticks() - start) / MS)) * 100
  if (!Number.isFinite(share)) return []
  return [
    { what: `timers ${of}: share of one core`, value: share, unit: '%', spread: 'once', target: '< 1 %' },
  ]
}

/** Processor time of a process so far, in ms (its ticks are a hundredth of a second). */
function processorMs(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * 10
  } catch {
    return Number.NaN
  }
}

function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
  } catch {
    return Number.NaN
  }
}
