import { html } from 'hono/html'
import { REASON_WORDS } from '../reasons.ts'
import { frame, table } from './frame.ts'

/** What the live view knows; times in ms. The page’s script gets the same, again and again. */
export type LiveData = {
  at: number
  slots: { at: number; reasons: Record<string, number>; failed: Record<string, number> }[]
  guards: {
    guard: string
    resources: string[]
    count: number
    p50: number
    p95: number
    p99: number
    behind: number
  }[]
  deliveries: { waiting: number; dead: number }
  /** Reasons in people’s words. */
  words: Record<string, string>
}

export const WORDS = REASON_WORDS

const MINUTE = 60_000

/** The live view: three graphs, each with its table. Without script the tables are there, as of now. */
export function livePage({ issuerName, data }: { issuerName: string; data: LiveData }): Promise<string> {
  const { waiting, dead } = data.deliveries
  const body = html`<p class="lead" id="live-state" role="status">As of ${time(data.at)}. Without JavaScript, load the page again for newer figures.</p>
<section aria-labelledby="reasons-title">
<h2 id="reasons-title">Revocations in the last hour, by reason</h2>
<div id="reasons-graph" class="graph"></div>
<div id="reasons-table">${table(
    'Revocations by minute and reason',
    ['Minute', 'Reason', 'Revocations'],
    byMinute(data, 'reasons').map(
      ([at, name, count]) =>
        html`<tr><td>${time(at)}</td><td>${WORDS[name] ?? name}</td><td>${count}</td></tr>\n`,
    ),
    'Nothing was revoked in the last hour.',
  )}</div>
</section>
<section aria-labelledby="guards-title">
<h2 id="guards-title">From commit to confirmation, by service</h2>
<div id="guards-graph" class="graph"></div>
<div id="guards-table">${table(
    'Time to confirmation by service',
    ['API', 'Guard', 'p50', 'p95', 'p99', 'Of', 'Knows'],
    data.guards.map(
      ({ guard, resources, count, p50, p95, p99, behind }) =>
        html`<tr><td>${resources.join(' ')}</td><td><code>${guard}</code></td><td>${ms(p50)}</td><td>${ms(p95)}</td><td>${ms(p99)}</td><td>${count}</td><td>${behind === 0 ? 'up to date' : `${behind} behind`}</td></tr>\n`,
    ),
    'No service has confirmed anything in the last hour.',
  )}</div>
</section>
<section aria-labelledby="failed-title">
<h2 id="failed-title">Failed deliveries in the last hour</h2>
<div id="failed-graph" class="graph"></div>
<div id="failed-table">${table(
    'Failed deliveries by minute and kind',
    ['Minute', 'Kind', 'Failed'],
    byMinute(data, 'failed').map(
      ([at, name, count]) => html`<tr><td>${time(at)}</td><td>${name}</td><td>${count}</td></tr>\n`,
    ),
    'No delivery failed in the last hour.',
  )}</div>
<p class="hint"><span id="deliveries">${waiting} waiting, ${dead} given up</span>. <a href="/admin/deliveries">See the deliveries</a></p>
</section>
<script type="module" src="/assets/live.js"></script>`
  return frame({ issuerName, path: '/admin/live', title: 'Live', body, styles: ['/assets/uplot.css'] })
}

/** Counts by minute and name, the newest first. */
function byMinute(
  { slots }: LiveData,
  what: 'reasons' | 'failed',
): [at: number, name: string, count: number][] {
  const counts = new Map<string, [number, string, number]>()
  for (const slot of slots) {
    const at = Math.floor(slot.at / MINUTE) * MINUTE
    for (const [name, count] of Object.entries(slot[what])) {
      const key = `${at} ${name}`
      counts.set(key, [at, name, (counts.get(key)?.[2] ?? 0) + count])
    }
  }
  return [...counts.values()].reverse()
}

function time(at: number) {
  const iso = new Date(at).toISOString()
  return html`<time datetime="${iso}">${iso.slice(11, 16)} UTC</time>`
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`
}
