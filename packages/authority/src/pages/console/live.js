// The live view: asks for the figures again and again, and draws them. Each graph has the same figures as a table beneath it.
import { h, render } from './preact.js'
import uPlot from './uplot.js'

const PAUSE = 2_000
const LONGEST_PAUSE = 30_000
const SLOT = 10_000
const SLOTS = 360
const MINUTE = 60_000
/** Colours that the colour-blind can tell apart (Okabe and Ito), lighter on dark; and dashes besides. */
const COLOURS = {
  light: ['#0072b2', '#c1440e', '#007a5a', '#9a4f85', '#8a6d00', '#3d7ea6', '#444444'],
  dark: ['#56b4e9', '#ff9d5c', '#35d0a5', '#e39bc9', '#f0e442', '#9ad1f5', '#dddddd'],
}
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [12, 4], [1, 4]]

const dark = matchMedia('(prefers-color-scheme: dark)')
const find = (id) => document.getElementById(id)
const plots = new Map()
let data
let pause = PAUSE

for (const id of ['reasons', 'guards', 'failed']) find(`${id}-table`).replaceChildren()
dark.addEventListener('change', redraw)
addEventListener('resize', redraw)
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && look())
look()

let timer
async function look() {
  clearTimeout(timer)
  try {
    const response = await fetch('/admin/live/data', { redirect: 'error', cache: 'no-store' })
    if (!response.ok) throw new Error(`answered ${response.status}`)
    data = await response.json()
    pause = PAUSE
    say('Live: new figures every two seconds.')
    show()
  } catch {
    pause = Math.min(pause * 2, LONGEST_PAUSE)
    say(
      `No new figures: the authority can’t be reached, or you are signed out. Trying again in ${pause / 1000} s.`,
    )
  }
  if (document.visibilityState === 'visible') timer = setTimeout(look, pause)
}

/** Said only when it changes, so that a screen reader is not kept busy. */
function say(text) {
  if (find('live-state').textContent !== text) find('live-state').textContent = text
}

function show() {
  showCounts(
    'reasons',
    'Revocations',
    (name) => data.words[name] ?? name,
    'Nothing was revoked in the last hour.',
  )
  showCounts('failed', 'Failed', (name) => name, 'No delivery failed in the last hour.')
  showGuards()
  const { waiting, dead } = data.deliveries
  find('deliveries').textContent = `${waiting} waiting, ${dead} given up`
}

/** Forgets the graphs: they are drawn anew, in other colours or another width. */
function redraw() {
  for (const { plot } of plots.values()) plot.destroy()
  plots.clear()
  if (data) show()
}

/** Counts over time, by name. */
function showCounts(what, unit, words, none) {
  const names = [...new Set(data.slots.flatMap((slot) => Object.keys(slot[what])))].sort()
  table(
    `${what}-table`,
    `${unit} by minute`,
    ['Minute', what === 'failed' ? 'Kind' : 'Reason', unit],
    byMinute(what, words),
    none,
  )
  const end = Math.floor(data.at / SLOT) * SLOT
  const times = Array.from({ length: SLOTS }, (_, n) => end - (SLOTS - 1 - n) * SLOT)
  const slotAt = new Map(data.slots.map((slot) => [slot.at, slot]))
  const lines = names.map((name) => times.map((at) => slotAt.get(at)?.[what][name] ?? 0))
  draw(what, names.map(words), [times.map((at) => at / 1000), ...lines], {
    scales: { y: { range: (_, __, max) => [0, Math.max(4, max * 1.1)] } },
    axes: [
      axis({}),
      axis({ label: `${unit} in 10 s`, values: (_, ticks) => ticks.map((tick) => (tick % 1 ? '' : tick)) }),
    ],
  })
}

function byMinute(what, words) {
  const counts = new Map()
  for (const slot of data.slots) {
    const at = Math.floor(slot.at / MINUTE) * MINUTE
    for (const [name, count] of Object.entries(slot[what])) {
      const key = `${at} ${name}`
      counts.set(key, [at, words(name), (counts.get(key)?.[2] ?? 0) + count])
    }
  }
  return [...counts.values()].reverse().map(([at, name, count]) => [clock(at), name, count])
}

/** Three marks for each service: how long half, most and nearly all of its confirmations took. */
function showGuards() {
  const { guards } = data
  const rows = guards.map(({ resources, guard, p50, p95, p99, count, behind }) => [
    ...[resources.join(' '), guard, ms(p50), ms(p95), ms(p99), count],
    behind === 0 ? 'up to date' : `${behind} behind`,
  ])
  const heads = ['API', 'Guard', 'p50', 'p95', 'p99', 'Of', 'Knows']
  table(
    'guards-table',
    'Time to confirmation by service',
    heads,
    rows,
    'No service has confirmed anything in the last hour.',
  )
  const names = ['p50', 'p95', 'p99']
  const marks = names.map((name) => guards.map((one) => one[name]))
  // A place on each side, so that no mark stands on the edge.
  const places = guards.map((_, n) => n + 1)
  draw('guards', names, [places, ...marks], {
    scales: {
      x: { time: false, range: () => [0, guards.length + 1] },
      y: { range: (_, __, max) => [0, Math.max(1, max * 1.15)] },
    },
    axes: [
      axis({ splits: () => places, values: () => guards.map(({ guard }) => guard) }),
      axis({ label: 'Milliseconds' }),
    ],
    marks: true,
  })
}

/** Draws a graph, or gives the one that is there its new figures. */
function draw(id, names, figures, { marks = false, ...options }) {
  const box = find(`${id}-graph`)
  const empty = names.length === 0 || figures[0].length === 0
  box.hidden = empty
  const key = `${names.join('\n')}\n${marks ? figures[0].length : ''}`
  const known = plots.get(id)
  if (known?.key === key && !empty) return known.plot.setData(figures)
  known?.plot.destroy()
  plots.delete(id)
  if (empty) return
  const colours = COLOURS[dark.matches ? 'dark' : 'light']
  const series = names.map((label, n) => {
    const stroke = colours[n % colours.length]
    return marks
      ? {
          label,
          stroke,
          paths: () => null,
          points: { show: true, size: 6 + 3 * n, stroke, width: 2, fill: n === 0 ? stroke : 'transparent' },
        }
      : { label, stroke, width: 2, dash: DASHES[n % DASHES.length], points: { show: false } }
  })
  const size = { width: Math.max(260, box.clientWidth), height: 240 }
  const plot = new uPlot(
    {
      ...size,
      ...options,
      series: [{ label: marks ? 'Service' : 'Time' }, ...series],
      cursor: { drag: { x: false, y: false } },
    },
    figures,
    box,
  )
  plots.set(id, { key, plot })
}

function axis(more) {
  const style = getComputedStyle(document.body)
  const stroke = style.getPropertyValue('--soft')
  const line = { stroke: style.getPropertyValue('--line'), width: 1 }
  return {
    stroke,
    grid: line,
    ticks: line,
    font: '12px system-ui',
    labelFont: '12px system-ui',
    labelSize: 20,
    ...more,
  }
}

/** The figures of a graph, as text. */
function table(id, label, heads, rows, none) {
  const content =
    rows.length === 0
      ? h('p', { class: 'hint' }, none)
      : h('details', null, [
          h('summary', null, `The figures as a table (${rows.length} ${rows.length === 1 ? 'row' : 'rows'})`),
          h('div', { class: 'scroll', tabIndex: 0, role: 'region', 'aria-label': label }, [
            h('table', null, [
              h(
                'thead',
                null,
                h(
                  'tr',
                  null,
                  heads.map((head) => h('th', { scope: 'col' }, head)),
                ),
              ),
              h(
                'tbody',
                null,
                rows.map((row) =>
                  h(
                    'tr',
                    null,
                    row.map((cell) => h('td', null, `${cell}`)),
                  ),
                ),
              ),
            ]),
          ]),
        ])
  render(content, find(id))
}

function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
}

function ms(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
}
