import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

describe('docs/security.md', () => {
  const text = read('docs/security.md')

  it('names tests that are there', () => {
    const files = [...text.matchAll(/`((?:test|packages)\/[\w./-]+\.test\.ts)`/g)].map(
      ([, path]) => `${path}`,
    )
    assert.ok(files.length > 30)
    for (const path of new Set(files)) assert.ok(read(path).includes('it('), path)
    const named = [...text.matchAll(/`((?:test|packages)\/[\w./-]+\.test\.ts)` “([^”]+)”/g)]
    assert.ok(named.length > 20)
    for (const [, path, name] of named)
      assert.ok(read(`${path}`).includes(`${name}`), `${path} has no “${name}”`)
  })
})
