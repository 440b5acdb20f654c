import { html } from 'hono/html'
import type { ShownRecord } from '../../audit-reading.ts'
import { given, type Markup } from '../layout.ts'
import { REASON_WORDS, time } from '../reasons.ts'
import type { Told } from '../told.ts'
import { by, frame, reasonField, table, why } from './frame.ts'

/** An API that is connected; times in ms. */
export type Service = {
  guard: string
  resources: string[]
  address: string
  since: number
  behind: number
  silentFor: number
}

/** A mail, webhook or logout notice; times in ms. */
export type ListedDelivery = {
  id: string
  kind: string
  topic: string
  target: string
  state: string
  attempts: number
  nextAt: number
  lastError?: string
}

type Framed = { issuerName: string; told?: Told; error?: string }
const framed = ({ issuerName, told, error }: Framed) => ({ issuerName, told, error })

export type ListedClient = { id: string; name: string; kind: 'configured' | 'registered' }

export function clientsPage(options: Framed & { clients: ListedClient[] }): Promise<string> {
  const rows = options.clients.map(
    ({ id, name, kind }) =>
      html`<tr><td>${given(name)}</td><td><code>${id}</code></td><td>${kind}</td><td><a href="/admin/audit?client=${encodeURIComponent(id)}">What it did</a></td><td><a href="/admin/end?client=${encodeURIComponent(id)}">End all its sessions</a></td></tr>\n`,
  )
  const heads = ['Name', 'Id', 'From', 'Audit', 'All of it']
  const body = table('Clients', heads, rows, 'There is no client.')
  return frame({ ...framed(options), path: '/admin/clients', title: 'Clients', body })
}

/** The APIs that are connected, those that lag first. */
export function servicesPage(options: Framed & { seq: number; guards: Service[] }): Promise<string> {
  const { seq, guards } = options
  const slowest = [...guards].sort((a, b) => b.behind - a.behind)
  const rows = slowest.map(
    ({ guard, resources, address, since, behind, silentFor }) =>
      html`<tr><td>${resources.map((one) => html`${given(one)} `)}</td><td><code>${guard}</code></td><td>${address}</td><td>${time(since)}</td><td>${behind === 0 ? 'up to date' : `${behind} behind`}</td><td>${silentFor} ms ago</td></tr>\n`,
  )
  const heads = ['API', 'Guard', 'Address', 'Connected', 'Knows', 'Heard']
  const body = html`<p class="lead">The newest revocation is ${seq}. What is not connected stops trusting its memory by itself.</p>
${table('Services', heads, rows, 'No service is connected.')}`
  return frame({ ...framed(options), path: '/admin/services', title: 'Services', body })
}

const STATES: Record<string, string> = { dead: 'given up' }

/** Mails, webhooks and logout notices: those that are stuck first. */
export function deliveriesPage(options: Framed & { deliveries: ListedDelivery[] }): Promise<string> {
  const { deliveries } = options
  const rows = deliveries.map(
    ({ id, kind, topic, target, state, attempts, nextAt, lastError }) =>
      html`<tr><td>${STATES[state] ?? state}</td><td>${
        state === 'dead'
          ? html`<form method="post" action="/admin/deliveries/replay"><input type="hidden" name="id" value="${id}"><button type="submit" class="quiet" aria-label="Try ${topic} to ${target} again">Try again</button></form>`
          : ''
      }</td><td>${kind}</td><td>${topic}</td><td>${given(target)}</td><td>${attempts}</td><td>${state === 'waiting' ? time(nextAt) : ''}</td><td>${given(lastError ?? '')}</td></tr>\n`,
  )
  const dead = deliveries.filter(({ state }) => state === 'dead').length
  const heads = ['State', 'Again', 'Kind', 'Of', 'For', 'Tries', 'Next', 'Last error']
  const body = html`${
    dead > 1
      ? html`<form method="post" action="/admin/deliveries/replay"><button type="submit" class="secondary fit">Try all that were given up again</button></form>`
      : ''
  }
${table('Deliveries', heads, rows, 'Nothing waits, and nothing was given up.')}`
  return frame({ ...framed(options), path: '/admin/deliveries', title: 'Deliveries', body })
}

/** What is typed in; event and reason are chosen. */
const FILTERS: [name: string, words: string][] = [
  ['sub', 'Account id'],
  ['sid', 'Session id'],
  ['client', 'Client'],
  ['actor', 'By'],
  ['address', 'Address'],
  ['since', 'Since (UTC)'],
  ['until', 'Until (UTC)'],
]

export interface AuditPageOptions extends Framed {
  records: ShownRecord[]
  /** The filter, as it was asked for. */
  given: Record<string, string>
  /** All the events that there are. */
  events: readonly string[]
  next?: string
}

export function auditPage(options: AuditPageOptions): Promise<string> {
  const { records, given: filters, events, next } = options
  const query = (more: Record<string, string>) => `?${new URLSearchParams({ ...filters, ...more })}`
  const rows = records.map(
    ({ n, at, event, actor, sub, sid, clientId = '', address = '', reason = '', detail = '' }) =>
      html`<tr><td>${n}</td><td>${time(at)}</td><td>${event}</td><td>${by(actor)}</td><td>${
        sub ? html`<a href="/admin/accounts/${sub}">${sub.slice(0, 8)}…</a>` : ''
      }</td><td>${sid ? html`<code>${sid}</code>` : ''}</td><td>${given(clientId)}</td><td>${address}</td><td>${why({ reason, detail })}</td></tr>\n`,
  )
  const heads = ['No.', 'When', 'Event', 'By', 'Account', 'Session', 'Client', 'From', 'Why']
  const body = html`<form method="get" action="/admin/audit" class="filters">
${choice('event', 'Event', filters.event, Object.fromEntries(events.map((one) => [one, one])))}
${choice('reason', 'Reason', filters.reason, REASON_WORDS)}
${FILTERS.map(([name, words]) => html`<div class="field"><label for="f-${name}">${words}</label><input id="f-${name}" name="${name}" maxlength="200" value="${filters[name] ?? ''}"></div>\n`)}<button type="submit" class="primary">Show</button>
</form>
<p class="hint">A day is written 2026-07-31, a time 2026-07-31T12:00Z.</p>
<p><a href="/admin/audit/export${query({})}">Export all of these as JSON Lines</a></p>
${table('Audit records', heads, rows, 'No record fits.')}
${next ? html`<p><a href="/admin/audit${query({ cursor: next })}">Older records</a></p>` : ''}`
  return frame({ ...framed(options), path: '/admin/audit', title: 'Audit', body })
}

function choice(
  name: string,
  words: string,
  chosen: string | undefined,
  all: Record<string, string>,
): Markup {
  const known = chosen === undefined || Object.hasOwn(all, chosen) ? all : { ...all, [chosen]: chosen }
  const options = Object.entries(known).map(
    ([value, shown]) =>
      html`<option value="${value}"${value === chosen ? html` selected` : ''}>${shown}</option>`,
  )
  return html`<div class="field"><label for="f-${name}">${words}</label><select id="f-${name}" name="${name}"><option value="">Any</option>${options}</select></div>`
}

export interface EndManyPageOptions extends Framed {
  client: string
  before: string
  reason: string
  /** Counted, and not done yet. */
  count?: { sessions: number; accounts: number; clients: number }
}

/** Ends what a client holds, or everything from before a time: counted first, and only then is there a button for it. */
export function endManyPage(options: EndManyPageOptions): Promise<string> {
  const { client, before, reason, count } = options
  const body = html`${count ? counted(options, count) : ''}
<form method="post" action="/admin/end" class="stack narrow">
<div class="field"><label for="client">Client id</label><input id="client" name="client" maxlength="2000" autocapitalize="none" spellcheck="false" value="${client}" aria-describedby="client-hint"><p class="hint" id="client-hint">Empty: every client.</p></div>
<div class="field"><label for="before">Issued before (UTC)</label><input id="before" name="before" maxlength="40" value="${before}" aria-describedby="before-hint"><p class="hint" id="before-hint">Such as 2026-07-31T12:00:00Z. Empty: until now.</p></div>
${reasonField('end-many-reason', reason)}
<button type="submit" class="secondary">Count first</button>
</form>`
  return frame({ ...framed(options), path: '/admin/end', title: 'End many', body })
}

/** What would end, and the button for it. */
function counted(
  { client, before, reason }: EndManyPageOptions,
  count: NonNullable<EndManyPageOptions['count']>,
): Markup {
  const of = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`
  if (count.sessions === 0)
    return html`<p class="notice" role="status">Nothing would end: nothing is signed in there.</p>`
  const which = html`${client ? html`in ${given(client)}` : 'in every client'}, issued before ${before ? given(before) : 'now'}`
  return html`<p class="notice" role="status"><strong>${of(count.sessions, 'session')}</strong> of ${of(count.accounts, 'account')} in ${of(count.clients, 'client')} would end: what is signed in ${which}. Nothing has happened yet.</p>
<form method="post" action="/admin/end" class="stack narrow"><input type="hidden" name="client" value="${client}"><input type="hidden" name="before" value="${before}"><input type="hidden" name="reason" value="${reason}"><input type="hidden" name="confirmed" value="yes"><button type="submit" class="primary">End ${of(count.sessions, 'session')} now</button></form>
<h2>Something else</h2>
`
}
