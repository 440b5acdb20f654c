import type { Peer, Results, Row } from './results.ts'
import { readable } from './table.ts'

/* All results as one picture: each bar of ours above those of the others, in the colours that the reader's system has. */

const WIDTH = 960
const MARGIN = 24
/** Where bars begin and how long the longest of a row is; before it is its name, after it its value. */
const BARS = { x: 250, width: 430, height: 14, step: 20 }
/** How long a value with its unit is, at most. */
const VALUE = 160
/** So many characters of a label fit in a line. */
const LINE = 120
const LINE_HEIGHT = 18

const STYLE = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: #1f2328 }
  .ground { fill: #ffffff }
  .title { font-size: 20px; font-weight: 600 }
  .benchmark { font-size: 16px; font-weight: 600 }
  .soft { fill: #59636e; font-size: 12px }
  .value { font-variant-numeric: tabular-nums }
  .here { fill: #0969da }
  .peer { fill: #afb8c1 }
  .rule { stroke: #d1d9e0 }
  .rim { stroke: #ffffff; stroke-width: 5 }
  .target { stroke: #bc4c00; stroke-width: 2 }
  .aim { fill: #bc4c00; font-size: 12px }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .ground { fill: #0d1117 }
    .soft { fill: #9198a1 }
    .here { fill: #4493f8 }
    .peer { fill: #656c76 }
    .rule { stroke: #3d444d }
    .rim { stroke: #0d1117 }
    .target { stroke: #f0883e }
    .aim { fill: #f0883e }
  }`

/** Rows of one thing that was measured: ours is the same in each, beside one peer after the other. */
type Group = { row: Row; peers: { peer: Peer; ratio: number | undefined }[] }
/** A part of the picture, drawn from its own top down. */
type Part = { svg: string; height: number }

/** As text and in attributes; what XML can't have at all becomes a replacement character. */
export function escaped(text: string): string {
  return text
    .replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
}

/** An SVG of every row that has something to be compared with, a peer or a target. */
export function chart(results: readonly Results[]): string {
  const parts = results.flatMap((one) => {
    const groups = groupsOf(one.rows)
    return groups.length === 0 ? [] : [headingOf(one), ...groups.map(drawGroup)]
  })
  const top = 84
  let y = top
  const placed = parts.map(({ svg, height }) => {
    const at = y
    y += height
    return `<g transform="translate(0 ${at})">${svg}</g>`
  })
  if (parts.length === 0) {
    placed.push(text(MARGIN, top + 16, 'Nothing was measured yet.', 'soft'))
    y += LINE_HEIGHT
  }
  const height = y + MARGIN
  const about =
    'Each bar of Rescind above those of its peers in the same work. A line across a bar is our target.'
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title about">`,
    `<title id="title">Rescind, measured</title><desc id="about">${escaped(about)}</desc><style>${STYLE}\n</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    text(MARGIN, 40, 'Rescind, measured', 'title'),
    text(MARGIN, 62, about, 'soft'),
    ...placed,
    '</svg>\n',
  ].join('\n')
}

function groupsOf(rows: readonly Row[]): Group[] {
  const groups = new Map<string, Group>()
  for (const row of rows) {
    const { what, peer, ratio, target, spread } = row
    // A count is right or wrong; there is nothing to see in it.
    if ((!peer && target === undefined) || spread === 'a count') continue
    const group = groups.get(what) ?? { row, peers: [] }
    groups.set(what, group)
    if (peer) group.peers.push({ peer, ratio })
  }
  return [...groups.values()]
}

function headingOf({ name, machine }: Results): Part {
  const { cpu, cores, node, date } = machine
  const on = `${cpu}, ${cores} cores, Node ${node}, ${date.slice(0, 10)}`
  const rule = `<line class="rule" x1="${MARGIN}" x2="${WIDTH - MARGIN}" y1="8" y2="8"/>`
  return { svg: rule + text(MARGIN, 34, name, 'benchmark') + end(34, on), height: 54 }
}

const end = (y: number, words: string) =>
  `<text class="soft" text-anchor="end" x="${WIDTH - MARGIN}" y="${y}">${escaped(words)}</text>`

function drawGroup({ row, peers }: Group): Part {
  const { what, target } = row
  const { value, unit, words } = shownOf(row)
  const aim = targetOf({ target, unit })
  const most = Math.max(...[value, aim ?? 0, ...peers.map(({ peer }) => peer.value)].map(drawable))
  const lines = wrapped(what)
  const label = lines.map((line, n) => text(MARGIN, 12 + n * LINE_HEIGHT, line)).join('')
  const top = lines.length * LINE_HEIGHT
  const bars = [
    bar(top, 'here', 'Rescind', value, most, words, aim),
    ...peers.map(({ peer, ratio }, n) => {
      const times = ratio === undefined || !Number.isFinite(ratio) ? '' : `, ours is ${said(ratio, '×')} that`
      return bar(
        top + (n + 1) * BARS.step,
        'peer',
        peer.name,
        peer.value,
        most,
        said(peer.value, unit) + times,
      )
    }),
  ]
  const below = top + bars.length * BARS.step
  const tick = aim === undefined ? '' : targetLine(top, BARS.x + lengthOf(aim, most))
  const aimed = target === undefined ? '' : `target ${target}${better(row)}`
  const aside = aimed === '' ? '' : text(BARS.x, below + 10, aimed, 'aim')
  const height = below + (aside === '' ? 12 : 30)
  return { svg: `<g><title>${escaped(what)}</title>${label}${bars.join('')}${tick}${aside}</g>`, height }
}

/** With a rim in the colour of the ground: it is seen on a bar, too. */
function targetLine(top: number, x: number): string {
  const place = `x1="${fixed(x)}" x2="${fixed(x)}" y1="${top - 3}" y2="${top + BARS.height + 3}"`
  return `<line class="rim" ${place}/><line class="target" ${place}/>`
}

/** A value with its unit; one that would fill the line is said shorter. */
function said(value: number, unit: string): string {
  const number = Math.abs(value) < 1e15 ? readable(value || 0) : value.toExponential(1)
  return `${Number.isFinite(value) ? number : '?'} ${unit}`.trim()
}

function better({ target = '' }: Row): string {
  if (/^[≤<]/.test(target)) return ', less is better'
  return /^[≥>]/.test(target) ? ', more is better' : ''
}

/** What the bar of a row shows: where the target is of a ratio to another row of ours, that. */
function shownOf({ value, unit, ratio, target = '', peer }: Row) {
  const words = said(value, unit)
  if (peer || ratio === undefined || !target.endsWith('×')) return { value, unit, words }
  return { value: ratio, unit: '×', words: `${said(ratio, '×')}, ${words}` }
}

/** The target as a number, where it is one of what the bar shows. */
function targetOf({ target, unit }: { target: string | undefined; unit: string }): number | undefined {
  const [, digits, of] = /^[≤≥<>=]?\s*([\d,]+(?:\.\d+)?)\s*(.*)$/.exec(target ?? '') ?? []
  if (digits === undefined || (of !== '' && of !== unit)) return undefined
  return Number(digits.replaceAll(',', ''))
}

/** What a bar can show of a value: nothing of one that is below zero or no number. */
const drawable = (value: number) => (Number.isFinite(value) && value > 0 ? value : 0)
const lengthOf = (value: number, most: number) => (most > 0 ? (drawable(value) / most) * BARS.width : 0)
const fixed = (value: number) => String(Math.round(value * 10) / 10)

function bar(
  y: number,
  kind: 'here' | 'peer',
  name: string,
  value: number,
  most: number,
  words: string,
  aim?: number,
) {
  const length = lengthOf(value, most)
  // Something that is very small is still there.
  const width = drawable(value) > 0 ? Math.max(1, length) : 0
  // The value goes behind the line of the target, where it would be struck through by it.
  const line = aim === undefined ? 0 : lengthOf(aim, most)
  const after = line > width && line < width + VALUE ? line : width
  const shown = name.length > 34 ? `${name.slice(0, 33)}…` : name
  const whole = shown === name ? '' : `<title>${escaped(name)}</title>`
  return [
    `<text text-anchor="end" x="${BARS.x - 10}" y="${y + 12}">${escaped(shown)}${whole}</text>`,
    `<rect class="${kind}" x="${BARS.x}" y="${y}" width="${fixed(width)}" height="${BARS.height}" rx="2"/>`,
    text(BARS.x + after + 8, y + 12, words, 'value'),
  ].join('')
}

function text(x: number, y: number, words: string, kind?: string): string {
  const of = kind === undefined ? '' : ` class="${kind}"`
  return `<text${of} x="${fixed(x)}" y="${fixed(y)}">${escaped(words)}</text>`
}

/** Text in lines that fit, broken between words; nobody breaks lines in an SVG but who writes it. */
function wrapped(words: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of words.split(' ')) {
    if (line !== '' && line.length + word.length >= LINE) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
