import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addAccount } from '../../packages/authority/src/accounts.ts'
import { type Config, readConfig } from '../../packages/authority/src/config.ts'
import { openData } from '../../packages/authority/src/open-data.ts'
import { API, API_GUARD, CLIENTS, freePort } from '../setup.ts'
import { type AuthorityProcess, createAuthorityProcess } from './authorities.ts'
import { type Database, startDatabase } from './database.ts'
import { startFront } from './front.ts'
import { type Guard, startGuard } from './guards.ts'

export type Person = { email: string; password: string; sub: string }

/** Everything there is: a database, processes of one authority on it, guards, and wires between all of them. */
export type World = {
  /** Where people reach it: whichever process is next. */
  issuer: string
  database: Database
  processes: AuthorityProcess[]
  guards: Guard[]
  people: Person[]
  /** For the command line, past all wires. */
  config: Config
  /** The folder of configurations and of what the processes said. */
  folder: string
  /** Takes back all that was broken. */
  heal(): Promise<void>
  /** @returns what does not get ready within `ms` */
  getReady(ms: number): Promise<string[]>
  stop(keep?: boolean): Promise<void>
}

type Size = { processes: number; guards: number; people: number; replica: boolean }

/** Why a guard is not ready, by its name. */
const reasons = new Map<string, string>()

export async function startWorld({ processes, guards, people, replica }: Size): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-world-'))
  const database = await startDatabase(replica)
  const frontPort = await freePort()
  const issuer = `http://localhost:${frontPort}`
  const shared = settings(issuer, folder)
  const file = join(folder, 'rescind.json')
  writeFileSync(file, JSON.stringify({ ...shared, port: frontPort, store: database.url() }))
  const config = readConfig({ config: file }, {})
  const world: World = {
    ...{ issuer, database, config, folder, processes: [], guards: [] },
    people: await addPeople(config, people),
    heal: () => heal(world),
    getReady: (ms) => getReady(world, ms),
    async stop(keep = false) {
      await Promise.all(world.guards.map((one) => one.stop()))
      await front.stop()
      await Promise.all(world.processes.map((one) => one.stop()))
      await database.stop()
      if (!keep) rmSync(folder, { recursive: true, force: true })
    },
  }
  for (let n = 0; n < processes; n++) {
    const options = { folder, config: shared, database: database.port(), store: database.url }
    world.processes.push(await createAuthorityProcess({ name: `process ${n}`, ...options }))
  }
  const front = await startFront(
    frontPort,
    world.processes.map(({ url }) => url),
  )
  for (const one of world.processes) one.start()
  for (let n = 0; n < guards; n++) {
    const { port } = world.processes[n % processes] as AuthorityProcess
    world.guards.push(await startGuard(`guard ${n}`, issuer, port))
  }
  const missing = await world.getReady(60_000)
  if (missing.length === 0) return world
  await world.stop(true)
  throw new Error(`these did not come up: ${missing.join(', ')}; see ${folder}`)
}

function settings(issuer: string, folder: string) {
  const resource = {
    ...{ resource: API, name: 'Example API', scopes: { 'notes:read': 'Read your notes' } },
    ...{ client_id: API_GUARD.clientId, client_secret: API_GUARD.clientSecret },
  }
  return {
    ...{ issuer, data: folder, masterKey: randomBytes(32).toString('base64url'), logLevel: 'warn' },
    ...{ clients: CLIENTS, resources: [resource], sessions: { maxPerAccount: 1_000 } },
  }
}

async function addPeople(config: Config, count: number): Promise<Person[]> {
  const { store } = await openData(config, { serving: false })
  try {
    const people: Person[] = []
    for (let n = 0; n < count; n++) {
      const person = {
        email: `person${n}@example.com`,
        password: `the password of ${n}`,
        name: `Person ${n}`,
      }
      const { sub } = await addAccount(store, person, 'test', Date.now())
      people.push({ ...person, sub })
    }
    return people
  } finally {
    await store.close()
  }
}

async function heal({ database, processes, guards }: World): Promise<void> {
  database.goOn()
  for (const { wire } of guards) wire.mend()
  database.disk?.free()
  for (const { wire, link, ...process } of processes) {
    wire.mend()
    link.mend()
    process.goOn()
    process.setClock(0)
    process.start()
  }
}

async function isLive(guard: Guard): Promise<boolean> {
  const { live, why } = await guard.state()
  if (!live && why !== undefined) reasons.set(guard.name, why)
  return live === true
}

async function getReady({ processes, guards }: World, ms: number): Promise<string[]> {
  const end = performance.now() + ms
  const waits = [
    ...processes.map((one) => ({ name: one.name, ready: () => isReady(one) })),
    ...guards.map((one) => ({ name: one.name, ready: () => isLive(one) })),
  ]
  const missing = await Promise.all(
    waits.map(async ({ name, ready }) => {
      while (!(await ready().catch(() => false))) {
        if (performance.now() > end) return `${name} ${reasons.get(name) ?? ''}`.trim()
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      return undefined
    }),
  )
  return missing.flatMap((name) => name ?? [])
}

async function isReady({ url }: AuthorityProcess): Promise<boolean> {
  return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) })).status === 200
}
