// Packs the built guard, installs it as anybody would, and runs test/runtimes/program.mjs on each runtime it is for.
import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, distOf } from './build.ts'

const FOLDER = join(import.meta.dirname, '..', 'test', 'runtimes')
const INSTALLED = join(FOLDER, 'node_modules')
const STAMP = join(INSTALLED, '.installed')
const PLATFORM = `${process.platform}-${process.arch}`
/** Where a Node that can't be had is a failure: its package is in the lock file. */
const ALL_NODES = ['linux-x64', 'darwin-arm64']
const TIMEOUT = 60_000

type Runtime = { name: string; binary: string | undefined; args: string[] }

/** The packages hold the binaries themselves, so no install script has to run. */
function findRuntimes(): Runtime[] {
  const find = (pattern: string) => globSync(`${pattern}{,.exe}`, { cwd: INSTALLED })[0]
  const runtime = (name: string, pattern: string, ...args: string[]) => {
    const found = find(pattern)
    return { name, binary: found && join(INSTALLED, found), args }
  }
  return [
    runtime('Node 20', 'node20-*/bin/node'),
    runtime('Node 22', 'node22-*/bin/node'),
    runtime('Node 24', 'node24-*/bin/node'),
    // The one that runs the project.
    { name: 'Node 26', binary: process.execPath, args: [] },
    runtime('Bun', '@oven/bun-*/bin/bun'),
    runtime('Deno', '@deno/*/deno', 'run', '--allow-all'),
  ]
}

/** @throws Error when npm fails */
function npm(cwd: string, ...args: string[]) {
  const all = [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const options: SpawnSyncOptions = { cwd, stdio: ['ignore', 'ignore', 'inherit'] }
  const path = process.env.npm_execpath
  const { status } = path
    ? spawnSync(process.execPath, [path, ...all], options)
    : spawnSync('npm', all, { ...options, shell: process.platform === 'win32' })
  if (status !== 0)
    throw new Error(`npm ${args[0]} failed in ${cwd}. Check the network and the npm registry.`)
}

function installRuntimes(): Runtime[] {
  const wanted = createHash('sha256').update(readFileSync(join(FOLDER, 'package-lock.json')))
  const stamp = `${wanted.digest('hex')} ${PLATFORM}`
  const fresh = existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp
  if (!fresh) {
    process.stderr.write('Installing the runtimes of test/runtimes (once, about 700 MB)…\n')
    npm(FOLDER, 'ci')
  }
  const runtimes = findRuntimes()
  // npm leaves out an optional package that it could not get, and says nothing; the next run tries again.
  if (runtimes.every(({ binary }) => binary)) writeFileSync(STAMP, stamp)
  return runtimes
}

/** A project of somebody else, which depends on the packed guard. */
function installGuard(folder: string) {
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  npm(folder, 'pack', distOf('guard'))
  npm(folder, 'install', `./${globSync('*.tgz', { cwd: folder })[0]}`)
  for (const name of globSync('*.mjs', { cwd: FOLDER })) cpSync(join(FOLDER, name), join(folder, name))
}

function runOn({ name, args }: Runtime, binary: string, folder: string): boolean {
  const started = performance.now()
  const { stdout, stderr, status, signal } = spawnSync(binary, [...args, 'program.mjs'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: TIMEOUT,
    killSignal: 'SIGKILL',
    env: {
      ...process.env,
      // What the authority runs on.
      NODE: name.startsWith('Node') ? binary : process.execPath,
      DENO_DIR: join(folder, 'deno'),
      DENO_NO_UPDATE_CHECK: '1',
    },
  })
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  const [version = '', ...lines] = (stdout ?? '').trim().split('\n')
  const steps = lines.filter((line) => line.startsWith('passed: ')).length
  const passed = status === 0 && steps > 0
  const result = passed ? 'passed' : `FAILED (${signal ?? `exit code ${status}`})`
  console.log(`${name.padEnd(8)} ${version.padEnd(9)} ${result}: ${steps} steps in ${seconds} s`)
  if (!passed) console.log(`${lines.filter((line) => !line.startsWith('passed: ')).join('\n')}\n${stderr}`)
  return passed
}

async function main(): Promise<boolean> {
  await build('guard')
  const runtimes = installRuntimes()
  const folder = mkdtempSync(join(tmpdir(), 'rescind-runtimes-'))
  let passed = 0
  let failed = 0
  try {
    installGuard(folder)
    for (const runtime of runtimes) {
      const { name, binary } = runtime
      if (!binary) {
        const needed = name.startsWith('Node') && ALL_NODES.includes(PLATFORM)
        console.log(`${name.padEnd(8)} NOT TESTED: it can't be installed on ${PLATFORM}`)
        if (needed) failed++
      } else if (runOn(runtime, binary, folder)) passed++
      else failed++
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0
}

try {
  if (!(await main())) process.exitCode = 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
