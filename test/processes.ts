import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command, Reply } from './guard-process.ts'
import { API, API_GUARD, CLIENTS, freePort, newDatabase, PERSON } from './setup.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

/* An authority and guards as processes of their own, and the wire between them. */

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')

export type AuthorityProcess = {
  /** How guards reach it: through the proxy. */
  issuer: string
  /** How people and tests reach it, whatever the proxy does. */
  direct: string
  proxy: TcpProxy
  /** What it keeps its data in. */
  config: { data: string; store?: string }
  start(): Promise<void>
  kill(): Promise<void>
  stop(): Promise<void>
}

async function comesUp(url: string) {
  for (let tries = 0; tries < 400; tries++) {
    const up = await fetch(`${url}/oauth/jwks`).catch(() => undefined)
    if (up?.status === 200) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('the authority did not come up')
}

/** @param settings what its configuration says beyond the usual */
export async function spawnAuthority(settings: Record<string, unknown> = {}): Promise<AuthorityProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-faults-'))
  const data = join(folder, 'store')
  const file = join(folder, 'rescind.json')
  const port = await freePort()
  const proxy = await startTcpProxy(port)
  const issuer = `http://localhost:${proxy.port}`
  const resource = {
    ...{ resource: API, name: 'Example API', scopes: { 'notes:read': 'Read your notes' } },
    ...{ client_id: API_GUARD.clientId, client_secret: API_GUARD.clientSecret },
  }
  const config: { data: string; store?: string } & Record<string, unknown> = {
    port,
    issuer,
    data,
    logLevel: 'error',
    clients: CLIENTS,
    resources: [resource],
    ...(process.env.TEST_POSTGRES ? { store: await newDatabase(process.env.TEST_POSTGRES) } : {}),
    ...settings,
  }
  const { RESCIND_STORE: _, ...env } = process.env
  writeFileSync(file, JSON.stringify(config))
  execFileSync(process.execPath, [CLI, 'accounts', 'add', PERSON.email, '--config', file], {
    ...{ input: `${PERSON.password}\n`, env },
  })
  const direct = `http://localhost:${port}`
  let child: ChildProcess | undefined
  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child?.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
  const start = async () => {
    child = spawn(process.execPath, [CLI, 'serve', '--config', file], {
      ...{ env, stdio: ['ignore', 'ignore', 'inherit'] },
    })
    await comesUp(direct)
  }
  await start()
  return {
    ...{ issuer, direct, proxy, config, start, kill },
    async stop() {
      await kill()
      await proxy.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export type GuardProcess = {
  check(token: string): Promise<{ ok: boolean; code?: string; reason?: string }>
  /** Checks, and keeps a connection open for the session. */
  hold(token: string): Promise<{ ok: boolean }>
  state(): Promise<{ live: boolean; seq: number; open: number; ended: { sid: string; reason: string }[] }>
  stop(): void
}

/** Resolves when the guard is ready. */
export async function spawnGuard(
  issuer: string,
  environment: { SKEW?: string; MAX_STALENESS?: string } = {},
): Promise<GuardProcess> {
  const child = fork(join(import.meta.dirname, 'guard-process.ts'), {
    env: {
      ...process.env,
      ...{ ISSUER: issuer, AUDIENCE: API },
      ...{ CLIENT_ID: API_GUARD.clientId, CLIENT_SECRET: API_GUARD.clientSecret },
      ...environment,
    },
  })
  const waiting = new Map<number, (reply: never) => void>()
  let last = 0
  const ready = new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the guard ended: ${code}`)))
    setTimeout(() => reject(new Error('the guard did not get ready')), 30_000).unref()
    child.on('message', (reply: 'ready' | Reply) => {
      if (reply === 'ready') return resolve()
      waiting.get(reply.id)?.(reply as never)
      waiting.delete(reply.id)
    })
  })
  const ask = <T>(command: Omit<Command, 'id'>) =>
    new Promise<T>((resolve) => {
      waiting.set(++last, resolve as (reply: never) => void)
      child.send({ id: last, ...command })
    })
  try {
    await ready
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  return {
    check: (token) => ask({ do: 'check', token } as Omit<Command, 'id'>),
    hold: (token) => ask({ do: 'hold', token } as Omit<Command, 'id'>),
    state: () => ask({ do: 'state' }),
    stop: () => void child.kill('SIGKILL'),
  }
}
