// Runs a script of this project on the Node that the lock file pins, after installing what is missing.
// Plain JavaScript on purpose: the Node that starts it may be older than the one the project runs on.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.rescind-setup')
const pinned = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`Rescind needs Node 20 or newer to set itself up; this is ${process.version}.`)
  process.exit(1)
}

const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')
const installed = existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && existsSync(pinned)
if (!installed) {
  console.error('Installing what the lock file names (once)…')
  const npm = process.env.npm_execpath
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  const result = npm
    ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    : spawnSync('npm', args, {
        cwd: root,
        stdio: ['ignore', 'inherit', 'inherit'],
        shell: process.platform === 'win32',
      })
  if (result.status !== 0 || !existsSync(pinned)) {
    console.error(
      'The install failed. Check the network and the npm registry, then run the same command again.',
    )
    process.exit(result.status || 1)
  }
  writeFileSync(stamp, wanted)
}

// TypeScript is compiled once, not by each of the hundreds of processes that tests and benchmarks start.
const compiled = process.env.NODE_COMPILE_CACHE ?? join(root, 'node_modules', '.cache', 'compiled')
const env = { ...process.env, NODE_COMPILE_CACHE: compiled }
const child = spawn(pinned, process.argv.slice(2), { cwd: root, stdio: 'inherit', env })
// A terminal sends Ctrl+C to both of us; passing it on as well would look like somebody pressing it twice.
process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)))
