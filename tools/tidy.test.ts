import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, it } from 'node:test'

/* The house rules that a machine can check. */

const sources = globSync('{packages/*/src,examples/*,tools}/**/*.{ts,mjs}', {
  exclude: (path) => path.includes('node_modules'),
}).map((path) => ({ path: path.replaceAll('\\', '/'), text: readFileSync(path, 'utf8') }))
const code = sources.filter(({ path }) => !/(\.test|\/conformance(-\w+)?)\.ts$/.test(path))

function importsOf({ path, text }: { path: string; text: string }): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map(([, target]) =>
    target?.startsWith('.') ? normalize(join(dirname(path), target)).replaceAll('\\', '/') : `${target}`,
  )
}

/** Folder, and what it may never import. Edges → domain ← store. */
const DIRECTIONS: [string, RegExp][] = [
  ['packages/authority/src/domain/', /^(?!packages\/authority\/src\/domain\/|node:crypto$)/],
  ['packages/authority/src/store/', /\/(oauth|mcp|feed|pages|http|keys)\/|^node:http/],
  ['packages/authority/src/pages/', /\/(oauth|mcp|feed|store|http|keys|domain)\/|^node:/],
  ['packages/guard/', /packages\/authority|@rescind\/authority/],
]

describe('the house rules', () => {
  it('imports point one way', () => {
    for (const [folder, forbidden] of DIRECTIONS) {
      for (const source of code.filter(({ path }) => path.startsWith(folder))) {
        for (const target of importsOf(source))
          assert.doesNotMatch(target, forbidden, `${source.path} → ${target}`)
      }
    }
  })

  it('no imports run in a circle', () => {
    const graph = new Map(code.map((source) => [source.path, importsOf(source)]))
    const done = new Set<string>()
    const visit = (path: string, trail: string[]) => {
      assert.ok(!trail.includes(path), `a circle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`)
      if (done.has(path)) return
      for (const target of graph.get(path) ?? []) if (graph.has(target)) visit(target, [...trail, path])
      done.add(path)
    }
    for (const path of graph.keys()) visit(path, [])
  })

  it('the domain reads no clock and no random', () => {
    for (const { path, text } of code) {
      if (!path.startsWith('packages/authority/src/domain/')) continue
      assert.doesNotMatch(
        text,
        /Date\.now|new Date\(\)|performance\.|Math\.random|randomBytes|randomUUID|randomInt/,
        path,
      )
    }
  })

  it('files are of one subject: at most 300 lines, none called utils, helpers or manager', () => {
    for (const { path, text } of sources) {
      const most = path.endsWith('.test.ts') ? 600 : 300
      assert.ok(text.split('\n').length <= most + 1, `${path} has more than ${most} lines`)
      assert.doesNotMatch(path, /(utils?|helpers?|manager)\.(ts|mjs)$/)
    }
  })

  it('functions are at most 70 lines', () => {
    for (const { path, text } of code) {
      const lines = text.split('\n')
      let start = -1
      lines.forEach((line, index) => {
        if (/^(export )?(default )?(async )?function\b/.test(line)) start = index
        if (line === '}' && start >= 0) {
          assert.ok(index - start < 70, `${path}:${start + 1} is ${index - start + 1} lines long`)
          start = -1
        }
      })
    }
  })

  it('nothing is skipped and nothing is left half done', () => {
    for (const { path, text } of sources) {
      if (path.startsWith('tools/tidy')) continue
      assert.doesNotMatch(text, /\b(it|test|describe)\.(skip|todo|only)\b|\b(TODO|FIXME|XXX)\b/, path)
    }
  })
})
