// The live view: asks for the figures again and again, and draws them. Each graph has the same figures as a table beneath it.
import { h, render } from './preact.js'
import uPlot from './uplot.js'

const PAUSE = 2_000
const LONGEST_PAUSE = 30_000
const MINUTE = 60_000
const MINUTES = 60
/** Colours that the colour-blind can tell apart (after Okabe and Ito), lighter on dark. */
const COLOURS = {
  light: ['#0072b2', '#c1440e', '#007a5a', '#9a4f85', '#8a6d00', '#5b8fb0', '#444444'],
  dark: ['#56b4e9', '#ff9d5c', '#35d0a5', '#e39bc9', '#f0e442', '#9ad1f5', '#dddddd'],
}

const dark = matchMedia('(prefers-color-scheme: dark)')
const find = (id) => document.getElementById(id)
const plots = new Map()
let data
let pause = PAUSE
let timer

for (const id of ['reasons', 'guards', 'failed']) find(`${id}-table`).replaceChildren()
dark.addEventListener('change', redraw)
addEventListener('resize', redraw)
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && look())
look()

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

/** Counts by minute, those of all names on top of each other. */
function showCounts(what, unit, words, none) {
  const counts = byMinute(what)
  const heads = ['Minute', what === 'failed' ? 'Kind' : 'Reason', unit]
  const rows = counts.map(([at, name, count]) => [clock(at), words(name), count]).reverse()
  table(`${what}-table`, `${unit} by minute`, heads, rows, none)
  const names = [...new Set(counts.map(([, name]) => name))].sort()
  const end = Math.floor(data.at / MINUTE) * MINUTE
  const times = Array.from({ length: MINUTES }, (_, n) => end - (MINUTES - 1 - n) * MINUTE)
  const countAt = new Map(counts.map(([at, name, count]) => [`${at} ${name}`, count]))
  let below = times.map(() => 0)
  const layers = names.map((name) => {
    below = times.map((at, n) => below[n] + (countAt.get(`${at} ${name}`) ?? 0))
    return below
  })
  // The highest is drawn first, and the others over it.
  draw(what, names.map(words).reverse(), [times.map((at) => at / 1000), ...layers.reverse()], {
    scales: { y: { range: (_, __, max) => [0, Math.max(4, Math.ceil(max * 1.1))] } },
    axes: [
      axis({ values: (_, ticks) => ticks.map((tick) => clock(tick * 1000)), space: 70 }),
      axis({ label: `${unit} a minute`, values: (_, ticks) => ticks.map((tick) => (tick % 1 ? '' : tick)) }),
    ],
    mark: (colour) => ({
      stroke: colour,
      fill: colour,
      paths: uPlot.paths.bars({ size: [0.8, 40] }),
      points: { show: false },
    }),
  })
}

/** `[minute, name, count]`, the oldest first. */
function byMinute(what) {
  const counts = new Map()
  for (const slot of data.slots) {
    const at = Math.floor(slot.at / MINUTE) * MINUTE
    for (const [name, count] of Object.entries(slot[what])) {
      const key = `${at} ${name}`
      counts.set(key, [at, name, (counts.get(key)?.[2] ?? 0) + count])
    }
  }
  return [...counts.values()]
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
    mark: (colour, n) => ({
      stroke: colour,
      paths: () => null,
      points: {
        show: true,
        size: 6 + 4 * n,
        stroke: colour,
        width: 2,
        fill: n === 0 ? colour : 'transparent',
      },
    }),
  })
}

/** Draws a graph, or gives the one that is there its new figures. */
function draw(id, names, figures, { mark, ...options }) {
  const box = find(`${id}-graph`)
  const empty = names.length === 0 || figures[0].length === 0
  box.hidden = empty
  const key = JSON.stringify([names, figures[0].length])
  const known = plots.get(id)
  if (known?.key === key && !empty) return known.plot.setData(figures)
  known?.plot.destroy()
  plots.delete(id)
  render(null, box)
  if (empty) return
  const colours = COLOURS[dark.matches ? 'dark' : 'light']
  // Of what is stacked the lowest keeps the first colour.
  const colourOf = (n) => colours[(id === 'guards' ? n : names.length - 1 - n) % colours.length]
  const legend = names.map((name, n) =>
    h('li', null, [
      h('span', { class: `swatch size-${id === 'guards' ? n : 'bar'}`, style: { background: colourOf(n) } }),
      name,
    ]),
  )
  render([h('div', { class: 'plot' }), h('ul', { class: 'legend' }, legend)], box)
  const size = { width: Math.max(260, box.clientWidth), height: 240 }
  const series = [{}, ...names.map((label, n) => ({ label, ...mark(colourOf(n), n) }))]
  const rest = { legend: { show: false }, cursor: { show: false } }
  const plot = new uPlot({ ...size, ...options, ...rest, series }, figures, box.firstElementChild)
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
