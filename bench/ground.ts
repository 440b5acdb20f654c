import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Config, readConfig } from '../packages/authority/src/config.ts'
import { freePort } from '../test/setup.ts'
import { type Amounts, type Filled, fill, type Parts } from './fill.ts'
import { percentile, ticks } from './measure.ts'

/* The authority that is measured: the real one, in a process of its own, on a store that was filled before. */

export const RESOURCE = 'https://api.example'
export const GUARD = { clientId: 'bench-api', clientSecret: randomBytes(24).toString('base64url') }

/** Flags for the measured process: `BENCH_FLAGS=--cpu-prof npm run bench -- revoke` shows where its time goes. */
const PROFILE = (process.env.BENCH_FLAGS ?? '').split(' ').filter(Boolean)
const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
/** Tokens have to outlive the benchmark; the longest that a configuration allows, in seconds. */
const TOKEN_LIFE = 3600
const FILE_SYSTEMS: Record<number, string> = {
  61267: 'ext4',
  16914836: 'tmpfs',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  2035054128: 'overlayfs',
}

export type Ground = Filled & {
  issuer: string
  folder: string
  /** Of the authority. */
  pid: number
  /** From the start of the process to the first 200 of /readyz, in ms. */
  readyAfter: number
  /** Where the store is, in words, with how long one sync takes there. */
  disk: string
  /** Stops the authority, and leaves its store. */
  halt(): Promise<void>
  stop(): Promise<void>
}

/** Fills a store and starts an authority on it; everything goes with `stop`, or with this process. */
export async function startGround(
  amounts: Amounts,
  say: (what: string) => void,
  more?: (parts: Parts) => Promise<void>,
  options: {
    store?: string
    pinned?: boolean
    /** Fills the store in place of what `amounts` and `more` say. */
    fillWith?: (config: Config, resource: string) => Promise<Filled>
  } = {},
): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-bench-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const file = join(folder, 'rescind.json')
  writeFileSync(
    file,
    JSON.stringify({ ...configuration(port, issuer, join(folder, 'data')), store: options.store }),
  )
  const config = readConfig({ config: file }, {})
  const filled = options.fillWith
    ? await options.fillWith(config, RESOURCE)
    : await fill(config, RESOURCE, amounts, say, more)
  say('starting the authority')
  const { pid, readyAfter, stop } = await startAuthority(file, issuer, options.pinned ?? false)
  return {
    ...filled,
    ...{ issuer, folder, pid, readyAfter, disk: describeDisk(folder) },
    halt: stop,
    async stop() {
      await stop()
      remove()
      process.off('exit', remove)
    },
  }
}

function configuration(port: number, issuer: string, data: string) {
  const app = { client_id: 'bench-app', redirect_uris: ['https://app.example/callback'], firstParty: true }
  const api = {
    ...{ resource: RESOURCE, name: 'Bench API', scopes: { 'notes:read': 'Read your notes' } },
    ...{ client_id: GUARD.clientId, client_secret: GUARD.clientSecret },
  }
  return {
    ...{ port, issuer, data, logLevel: 'error', tokens: { accessTokenSeconds: TOKEN_LIFE } },
    clients: [{ ...app, token_endpoint_auth_method: 'none' }],
    resources: [api],
  }
}

/** Starts the real one, as its own process, and waits until it is ready. */
export async function startAuthority(file: string, issuer: string, pinned: boolean) {
  const node = [process.execPath, ...PROFILE, CLI, 'serve', '--config', file]
  const [command = '', ...args] = pinned ? ['taskset', '-c', '0', ...node] : node
  const started = ticks()
  const child = spawn(command, args, {
    stdio: ['ignore', process.env.GROUND_OUT ? 'inherit' : 'ignore', 'inherit'],
  })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const killer = () => child.kill('SIGKILL')
  process.once('exit', killer)
  for (let tries = 0; ; tries++) {
    const up = await fetch(`${issuer}/readyz`).catch(() => undefined)
    if (up?.status === 200) break
    if (tries > 3000 || child.exitCode !== null) throw new Error('the authority did not come up')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const readyAfter = (ticks() - started) / 1e6
  const stop = async () => {
    child.kill('SIGTERM')
    const patience = setTimeout(killer, 10_000)
    await gone
    clearTimeout(patience)
    process.off('exit', killer)
  }
  return { pid: child.pid as number, readyAfter, stop }
}

/** What a durable answer can't be faster than. */
function describeDisk(folder: string): string {
  const file = openSync(join(folder, 'sync-probe'), 'a')
  const page = Buffer.alloc(4096, 1)
  const times: number[] = []
  for (let i = 0; i < 100; i++) {
    const start = ticks()
    writeSync(file, page)
    fsyncSync(file)
    times.push((ticks() - start) / 1e6)
  }
  closeSync(file)
  const type = statfsSync(folder).type
  const [half, most] = [percentile(times, 0.5), percentile(times, 0.99)].map((one) => one.toFixed(2))
  return `${FILE_SYSTEMS[type] ?? `file system 0x${type.toString(16)}`}; a 4 KB append and its fsync: p50 ${half} ms, p99 ${most} ms`
}
