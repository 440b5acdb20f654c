// Builds each package that is published into its dist/: JavaScript, types, package.json, README, LICENSE.
import { spawnSync } from 'node:child_process'
import { copyFileSync, globSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const ROOT = join(import.meta.dirname, '..')
export const PUBLISHED = ['guard', 'client'] as const
export type Published = (typeof PUBLISHED)[number]

/** Where a package is built to. */
export const distOf = (name: Published): string => join(ROOT, 'packages', name, 'dist')

/** @throws Error when it does not compile, or is not fit to be published */
export async function build(name: Published): Promise<void> {
  const dist = distOf(name)
  rmSync(dist, { recursive: true, force: true })
  compile(name, dist)
  writePackage(join(dist, '..'), dist)
  copyFileSync(join(dist, '../README.md'), join(dist, 'README.md'))
  copyFileSync(join(ROOT, 'LICENSE'), join(dist, 'LICENSE'))
  await lint(name, dist)
}

function compile(name: Published, dist: string) {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [tsc, '-p', join(dist, '../tsconfig.build.json')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (status !== 0) throw new Error(`packages/${name} does not compile`)
  // The compiler renames what JavaScript imports, and leaves the types as they were.
  for (const file of globSync('**/*.d.ts', { cwd: dist })) {
    const text = readFileSync(join(dist, file), 'utf8')
    writeFileSync(join(dist, file), text.replaceAll(/(['"])(\.\.?\/[^'"\n]+)\.ts\1/g, '$1$2.js$1'))
  }
}

/** The package.json of the workspace, with entry points that are built. */
function writePackage(folder: string, dist: string) {
  const source = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const exports: Record<string, { types: string; default: string }> = {}
  for (const [entry, path] of Object.entries<string>(source.exports)) {
    const built = path.replace('./src/', './').replace(/\.ts$/, '')
    exports[entry] = { types: `${built}.d.ts`, default: `${built}.js` }
  }
  const made = { ...source, exports }
  writeFileSync(join(dist, 'package.json'), `${JSON.stringify(made, null, 2)}\n`)
}

async function lint(name: Published, dist: string) {
  // Everything in the folder is published, so nothing has to be packed to know what is.
  const { messages, pkg } = await publint({ pkgDir: dist, level: 'warning', strict: true, pack: false })
  if (messages.length === 0) return
  const found = messages.map((message) => formatMessage(message, pkg ?? {}, { color: false }))
  throw new Error(`publint would not publish packages/${name}/dist:\n${found.join('\n')}`)
}

if (import.meta.main) {
  try {
    for (const name of PUBLISHED) {
      await build(name)
      const files = globSync('**/*', { cwd: distOf(name) }).map(
        (file) => statSync(join(distOf(name), file)).size,
      )
      const size = files.reduce((sum, one) => sum + one, 0)
      console.log(`packages/${name}/dist: ${files.length} files, ${(size / 1024).toFixed(0)} KB`)
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
