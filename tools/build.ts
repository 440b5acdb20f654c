// Builds packages/guard into packages/guard/dist, ready to publish: JavaScript, types, package.json, README, LICENSE.
import { spawnSync } from 'node:child_process'
import { copyFileSync, globSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const ROOT = join(import.meta.dirname, '..')
const PACKAGE = join(ROOT, 'packages', 'guard')
export const DIST = join(PACKAGE, 'dist')

/** @throws Error when it does not compile, or is not fit to be published */
export async function build(): Promise<void> {
  rmSync(DIST, { recursive: true, force: true })
  compile()
  writePackage()
  copyFileSync(join(PACKAGE, 'README.md'), join(DIST, 'README.md'))
  copyFileSync(join(ROOT, 'LICENSE'), join(DIST, 'LICENSE'))
  await lint()
}

function compile() {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(PACKAGE, 'tsconfig.build.json')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) throw new Error('packages/guard does not compile')
  // The compiler renames what JavaScript imports, and leaves the types as they were.
  for (const name of globSync('**/*.d.ts', { cwd: DIST })) {
    const text = readFileSync(join(DIST, name), 'utf8')
    writeFileSync(join(DIST, name), text.replaceAll(/(['"])(\.\.?\/[^'"\n]+)\.ts\1/g, '$1$2.js$1'))
  }
}

/** The package.json of the workspace, with entry points that are built. */
function writePackage() {
  const source = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'))
  const exports: Record<string, { types: string; default: string }> = {}
  for (const [entry, path] of Object.entries<string>(source.exports)) {
    const built = path.replace('./src/', './').replace(/\.ts$/, '')
    exports[entry] = { types: `${built}.d.ts`, default: `${built}.js` }
  }
  const made = { ...source, exports }
  writeFileSync(join(DIST, 'package.json'), `${JSON.stringify(made, null, 2)}\n`)
}

async function lint() {
  // Everything in the folder is published, so nothing has to be packed to know what is.
  const { messages, pkg } = await publint({ pkgDir: DIST, level: 'warning', strict: true, pack: false })
  if (messages.length === 0) return
  const found = messages.map((message) => formatMessage(message, pkg ?? {}, { color: false }))
  throw new Error(`publint would not publish packages/guard/dist:\n${found.join('\n')}`)
}

if (import.meta.main) {
  try {
    await build()
    const files = globSync('**/*', { cwd: DIST }).map((name) => statSync(join(DIST, name)).size)
    const size = files.reduce((sum, one) => sum + one, 0)
    console.log(`packages/guard/dist: ${files.length} files, ${(size / 1024).toFixed(0)} KB`)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
