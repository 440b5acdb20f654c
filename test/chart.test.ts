import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { chart, escaped } from '../bench/chart.ts'
import { combine } from '../bench/combine.ts'
import type { Results, Row } from '../bench/results.ts'

const machine = {
  cpu: 'A <CPU> & more',
  cores: 2,
  memory: '',
  os: '',
  node: 'v26',
  date: '2026-11-26T00:00:00Z',
}
const results = (rows: Row[]): Results => ({ name: 'a "name"', machine, notes: [], rows })
const peer = (name: string, value: number) => ({ name, configuration: 'any', value, spread: '1–2' })

/** Whether every element is closed, and no markup is in a text; @returns the texts */
function parse(svg: string): string[] {
  const open: string[] = []
  const texts: string[] = []
  const rest = svg.replace(/<(\/?)([a-z]+)((?: [\w:-]+="[^"<>]*")*)\s*(\/?)>|([^<>]+)/g, (...found) => {
    const [, closing, name, , empty, words] = found as string[]
    if (words !== undefined) texts.push(words.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code)))
    else if (closing) assert.equal(open.pop(), name)
    else if (!empty) open.push(`${name}`)
    return ''
  })
  assert.deepEqual([rest.trim(), open], ['', []])
  assert.doesNotMatch(svg, /&(?!#\d+;)/, 'every & is of an escape')
  return texts
}

describe('the chart', () => {
  it('says each name and value, whatever is in them, and is one picture to a screen reader', () => {
    const what = `</text><script>alert(1)</script> & "it's" ]]>`
    const rows: Row[] = [
      { what, value: 1234, unit: '/s', spread: '', peer: peer('<jose>', 617), ratio: 2, target: '≥ 1,000/s' },
      { what, value: 1234, unit: '/s', spread: '', peer: peer('fast & jwt', 2468), ratio: 0.5 },
    ]
    const svg = chart([results(rows)])
    const texts = parse(svg)
    for (const word of [
      what,
      '<jose>',
      'fast & jwt',
      'a "name"',
      '1,234 /s',
      'target ≥ 1,000/s, more is better',
    ])
      assert.ok(texts.includes(word), word)
    assert.ok(texts.includes('617 /s, ours is 2 × that') && texts.includes('2,468 /s, ours is 0.50 × that'))
    assert.match(svg, /^<svg [^>]*role="img" aria-labelledby="title about">\n<title id="title">/)
    assert.match(svg, /prefers-color-scheme: dark/)
    assert.equal(svg.match(/class="here"/g)?.length, 1, 'ours stands once beside several')
    assert.doesNotMatch(svg, /<script|href|url\(/)
  })

  it('draws nothing outside of it for values that are zero, negative, huge or none', () => {
    const odd = [0, -0, -5, 1e300, Number.MAX_VALUE, 5e-324, Number.NaN, Infinity, -Infinity]
    const rows = odd.flatMap((value, n): Row[] =>
      odd.map((other, m) => ({
        ...{ what: `row ${n} ${m}`, value, unit: 'ms', spread: '', peer: peer('other', other) },
        ...{ ratio: value / other, target: '≤ 3 ms' },
      })),
    )
    const svg = chart([results(rows)])
    const texts = parse(svg).filter((one) => !one.includes('font:'))
    for (const one of texts) assert.ok(one.length < 150 && !/NaN|Infinity|-0 /.test(one), one)
    const within = (most: number, [whole, number]: RegExpExecArray) =>
      assert.ok(Number(number) >= 0 && Number(number) <= most, whole)
    for (const one of svg.matchAll(/<rect class="(?:here|peer)"[^>]* width="([^"]*)"/g)) within(430, one)
    for (const one of svg.matchAll(/ x[12]?="([^"]*)"/g)) within(960, one)
  })

  it('shows a ratio to another row of ours, where that is what the target is of', () => {
    const row = { what: 'among many', value: 900, unit: '/s', spread: '', ratio: 0.5, target: '≥ 0.67 ×' }
    const svg = chart([results([row])])
    assert.ok(parse(svg).includes('0.50 ×, 900 /s'))
    const [, width] = /class="here"[^>]* width="([^"]*)"/.exec(svg) ?? []
    assert.equal(width, '320.9', 'half beside two thirds, which fill it')
  })

  it('leaves out what can’t be held against anything, and says so where nothing is left', () => {
    const rows: Row[] = [
      { what: 'alone', value: 1, unit: '', spread: '' },
      { what: 'counted', value: 3, unit: '', spread: 'a count', target: '= 3' },
    ]
    const texts = parse(chart([results(rows)]))
    assert.ok(texts.includes('Nothing was measured yet.') && !texts.includes('alone'))
  })

  it('has no character that XML can’t have', () => {
    assert.equal(escaped('a\u0000\u001b\ud800b'), 'a\ufffd\ufffd\ufffdb')
  })

  it('is made of all results in a folder, which are combined too', () => {
    const folder = mkdtempSync(join(tmpdir(), 'rescind-chart-test-'))
    try {
      const row = (what: string): Row => ({ what, value: 1, unit: 'ms', spread: '', target: '≤ 2 ms' })
      for (const name of ['one', 'two'])
        writeFileSync(join(folder, `${name}.json`), JSON.stringify({ ...results([row(`of ${name}`)]), name }))
      for (const _ of ['once', 'and again']) {
        const { all, picture, compared } = combine(folder)
        assert.deepEqual(
          compared.map(({ what }) => what),
          ['one: of one', 'two: of two'],
        )
        const read = JSON.parse(readFileSync(all, 'utf8')) as Results[]
        assert.deepEqual(
          read.map(({ name }) => name),
          ['one', 'two'],
        )
        assert.ok(parse(readFileSync(picture, 'utf8')).includes('of two'))
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
