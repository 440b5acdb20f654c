import { randomBytes, randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Client } from 'pg'
import { addAccount } from '../packages/authority/src/accounts.ts'
import type { Authority } from '../packages/authority/src/authority.ts'
import { type Config, readConfig } from '../packages/authority/src/config.ts'
import type { Hooks } from '../packages/authority/src/hooks.ts'
import { type RunningAuthority, startAuthority } from '../packages/authority/src/main.ts'
import { startRoundRobin } from './round-robin.ts'

export const PERSON = { email: 'ann@example.com', password: 'a password of Ann', name: 'Ann' }
export const CALLBACK = 'https://app.example/callback'
export const API = 'https://api.example'
export const API_GUARD = { clientId: 'api-guard', clientSecret: 'the secret of the api guard' }

/** A client of each kind: first-party and public, confidential, somebody else's. */
export const CLIENTS = [
  client('app', { token_endpoint_auth_method: 'none', firstParty: true }),
  client('other-app', { token_endpoint_auth_method: 'none', firstParty: true }),
  client('short-app', {
    token_endpoint_auth_method: 'none',
    firstParty: true,
    grant_types: ['authorization_code'],
  }),
  client('backend', { client_secret: 'the secret of the backend', firstParty: true }),
  client('third-party', { token_endpoint_auth_method: 'none', client_name: 'Somebody else’s app' }),
]

function client(client_id: string, rest: Record<string, unknown>) {
  return { client_id, redirect_uris: [CALLBACK], firstParty: false, ...rest } as Config['clients'][number]
}

/** Nothing can be written, as another process holds the lock that every writer needs. @returns how to let go */
export async function blockStore({ config }: TestAuthority): Promise<() => Promise<void>> {
  if (config.store === undefined) {
    const intruder = new DatabaseSync(join(config.data, 'rescind.db'))
    intruder.exec('BEGIN IMMEDIATE')
    return async () => intruder.close()
  }
  const intruder = new Client({ connectionString: config.store })
  await intruder.connect()
  await intruder.query('BEGIN; SELECT FROM heads FOR UPDATE')
  return () => intruder.end()
}

/** Changes the data behind the authority’s back. */
export async function tamper(
  { config }: { config: { data: string; store?: string } },
  sql: string,
): Promise<void> {
  if (config.store === undefined) {
    const db = new DatabaseSync(join(config.data, 'rescind.db'), { timeout: 5_000 })
    db.exec(sql)
    return db.close()
  }
  const client = new Client({ connectionString: config.store })
  await client.connect()
  await client.query(sql)
  await client.end()
}

/** An empty database on a server. */
export async function newDatabase(server: string): Promise<string> {
  const name = `t${randomBytes(8).toString('hex')}`
  const client = new Client({ connectionString: server })
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
  return server.replace(/[^/]*$/, name)
}

/** Not one of those that the system gives to connections: between here and its use a connection of somebody else would take it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}

export type TestAuthority = RunningAuthority & {
  issuer: string
  config: Config
  /** Those that run beside it on the same database. */
  others: Authority[]
  /** The own address of each. */
  urls: string[]
  /** Moves the authority's clock, in ms. */
  advance(ms: number): void
  /** Stops it and starts another on the same data and port. */
  restart(): Promise<void>
  /** Stops it and removes its data. */
  stop(): Promise<void>
}

type Started = RunningAuthority & { others: Authority[]; urls: string[] }

/** On PostgreSQL there are two, each with all of its own but the database, and every request goes to the next one. */
async function startSome(config: Config, options: { now: () => number; hooks: Hooks }): Promise<Started> {
  if (config.store === undefined) return alone(await startAuthority(config, options))
  const started: RunningAuthority[] = []
  // The operators’ port is one.
  for (const own of [config, { ...config, metrics: undefined }])
    started.push(await startAuthority({ ...own, port: 0 }, options))
  const [first, second] = started as [RunningAuthority, RunningAuthority]
  const balancer = await startRoundRobin(
    config.port,
    started.map(({ url }) => Number(new URL(url).port)),
  )
  return {
    authority: first.authority,
    others: [second.authority],
    urls: started.map(({ url }) => url),
    url: `http://127.0.0.1:${config.port}`,
    async reload(read) {
      for (const one of started) await one.reload(read)
    },
    async close() {
      await Promise.all(started.map((one) => one.close()))
      await balancer.stop()
    },
  }
}

function alone(running: RunningAuthority): Started {
  return { ...running, others: [], urls: [running.url] }
}

/** An authority on a free port, with an account, clients and an API; its clock can be moved. */
export async function startTestAuthority(
  changes: Partial<Config> = {},
  hooks: Hooks = {},
): Promise<TestAuthority> {
  const data = mkdtempSync(join(tmpdir(), 'rescind-test-'))
  const port = await freePort()
  const base = readConfig({ port: String(port), data }, {})
  const config: Config = {
    ...base,
    logLevel: 'error',
    clients: CLIENTS,
    resources: [
      {
        resource: API,
        name: 'Example API',
        scopes: { 'notes:read': 'Read your notes', 'notes:write': 'Write notes' },
        client_id: API_GUARD.clientId,
        client_secret: API_GUARD.clientSecret,
      },
    ],
    ...(process.env.TEST_POSTGRES ? { store: await newDatabase(process.env.TEST_POSTGRES) } : {}),
    ...changes,
  }
  // What a test runs on the command line works on the same data.
  if (process.env.TEST_POSTGRES) process.env.RESCIND_STORE = config.store
  let skew = 0
  const now = () => Date.now() + skew
  let running = await startSome(config, { now, hooks })
  await addAccount(running.authority.store, PERSON, 'test', Date.now())
  return {
    get authority() {
      return running.authority
    },
    get others() {
      return running.others
    },
    get urls() {
      return running.urls
    },
    url: running.url,
    issuer: config.issuer,
    config,
    advance(ms) {
      skew += ms
    },
    async restart() {
      await running.close()
      running = await startSome(config, { now, hooks })
    },
    close: () => running.close(),
    reload: (read) => running.reload(read),
    async stop() {
      await running.close()
      rmSync(data, { recursive: true, force: true })
    },
  }
}
