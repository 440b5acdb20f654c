// Checks examples/mobile, and the examples of docs/react-native.md, against the types of the packages that a phone has, which
// are installed apart: they are many.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from './build.ts'

const FOLDER = join(import.meta.dirname, '../examples/mobile')
const STAMP = join(FOLDER, 'node_modules', '.installed')
const TSC = join(import.meta.dirname, '../node_modules/typescript/bin/tsc')

const wanted = createHash('sha256')
  .update(readFileSync(join(FOLDER, 'package-lock.json')))
  .digest('hex')
if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== wanted) {
  // Nothing of it is run, so no install script has to be.
  const args = ['ci', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error']
  const options = {
    cwd: FOLDER,
    stdio: ['ignore', 'ignore', 'inherit'] as const,
    shell: process.platform === 'win32',
  }
  const npm = process.env.npm_execpath
  const { status } = npm
    ? spawnSync(process.execPath, [npm, ...args], {
        ...options,
        shell: false,
        stdio: ['ignore', 'ignore', 'inherit'],
      })
    : spawnSync('npm', args, { ...options, stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) {
    console.error(
      'examples/mobile could not be installed. Check the network, then run the same command again.',
    )
    process.exit(1)
  }
  writeFileSync(STAMP, wanted)
}
const page = readFileSync(join(FOLDER, '../../docs/react-native.md'), 'utf8')
const examples = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ''], n) => {
  const file = join(FOLDER, `of-the-docs-${n + 1}.ts`)
  writeFileSync(file, code)
  return file
})
try {
  await build('client')
  const { status } = spawnSync(process.execPath, [TSC, '-p', FOLDER], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status === 0)
    console.log(
      `examples/mobile and ${examples.length} examples of docs/react-native.md fit the types of their packages`,
    )
  process.exitCode = status ?? 1
} finally {
  for (const file of examples) rmSync(file)
}
