import { html } from 'hono/html'
import type { ShownRecord } from '../../audit-reading.ts'
import { given } from '../layout.ts'
import { utc } from '../reasons.ts'
import { frame, reasonField, table, why } from './frame.ts'

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

type Told = { issuerName: string; told?: string }
const framed = ({ issuerName, told }: Told) => ({ issuerName, ...(told ? { told } : {}) })

export type ListedClient = { id: string; name: string; kind: 'configured' | 'registered' }

export function clientsPage(options: Told & { clients: ListedClient[] }): Promise<string> {
  const rows = options.clients.map(
    ({ id, name, kind }) =>
      html`<tr><td>${given(name)}</td><td><code>${id}</code></td><td>${kind}</td><td><a href="/admin/end?client=${encodeURIComponent(id)}">End all its sessions</a></td></tr>\n`,
  )
  const heads = ['Name', 'Id', 'From', 'All of it']
  const body = table('Clients', heads, rows, 'There is no client.')
  return frame({ ...framed(options), path: '/admin/clients', title: 'Clients', body })
}

/** The APIs that are connected, those that lag first. */
export function servicesPage(options: Told & { seq: number; guards: Service[] }): Promise<string> {
  const { seq, guards } = options
  const slowest = [...guards].sort((a, b) => b.behind - a.behind)
  const rows = slowest.map(
    ({ guard, resources, address, since, behind, silentFor }) =>
      html`<tr><td>${resources.map((one) => html`${given(one)} `)}</td><td><code>${guard}</code></td><td>${address}</td><td>${utc(since)}</td><td>${behind === 0 ? 'up to date' : `${behind} behind`}</td><td>${silentFor} ms ago</td></tr>\n`,
  )
  const heads = ['API', 'Guard', 'Address', 'Connected', 'Knows', 'Heard']
  const body = html`<p class="lead">The newest revocation is ${seq}. What is not connected stops trusting its memory by itself.</p>
${table('Services', heads, rows, 'No service is connected.')}`
  return frame({ ...framed(options), path: '/admin/services', title: 'Services', body })
}

/** Mails, webhooks and logout notices: those that are stuck first. */
export function deliveriesPage(options: Told & { deliveries: ListedDelivery[] }): Promise<string> {
  const { deliveries } = options
  const rows = deliveries.map(
    ({ id, kind, topic, target, state, attempts, nextAt, lastError }) =>
      html`<tr><td>${state}</td><td>${kind}</td><td>${topic}</td><td>${given(target)}</td><td>${attempts}</td><td>${state === 'waiting' ? utc(nextAt) : ''}</td><td>${given(lastError ?? '')}</td><td>${
        state === 'dead'
          ? html`<form method="post" action="/admin/deliveries/replay"><input type="hidden" name="id" value="${id}"><button type="submit" class="quiet" aria-label="Try ${topic} to ${target} again">Try again</button></form>`
          : ''
      }</td></tr>\n`,
  )
  const dead = deliveries.filter(({ state }) => state === 'dead').length
  const heads = ['State', 'Kind', 'Of', 'For', 'Tries', 'Next', 'Last error', 'Again']
  const body = html`${
    dead > 1
      ? html`<form method="post" action="/admin/deliveries/replay"><button type="submit" class="secondary fit">Try all that were given up again</button></form>`
      : ''
  }
${table('Deliveries', heads, rows, 'Nothing waits, and nothing was given up.')}`
  return frame({ ...framed(options), path: '/admin/deliveries', title: 'Deliveries', body })
}

const FILTERS: [name: string, words: string][] = [
  ['event', 'Event'],
  ['sub', 'Account id'],
  ['sid', 'Session id'],
  ['client', 'Client'],
  ['actor', 'By'],
  ['reason', 'Reason'],
  ['address', 'Address'],
  ['since', 'Since'],
  ['until', 'Until'],
]

export function auditPage(
  options: Told & { records: ShownRecord[]; given: Record<string, string>; next?: string },
): Promise<string> {
  const { records, given: filters, next } = options
  const query = (more: Record<string, string>) => `?${new URLSearchParams({ ...filters, ...more })}`
  const rows = records.map(
    ({ n, at, event, actor, sub, sid, clientId = '', address = '', reason = '', detail = '' }) =>
      html`<tr><td>${n}</td><td>${utc(at)}</td><td>${event}</td><td>${actor}</td><td>${
        sub ? html`<a href="/admin/accounts/${sub}">${sub.slice(0, 8)}…</a>` : ''
      }</td><td>${sid ? html`<code>${sid}</code>` : ''}</td><td>${given(clientId)}</td><td>${address}</td><td>${why({ reason, detail })}</td></tr>\n`,
  )
  const heads = ['No.', 'When', 'Event', 'By', 'Account', 'Session', 'Client', 'From', 'Why']
  const body = html`<form method="get" action="/admin/audit" class="filters">
${FILTERS.map(([name, words]) => html`<div class="field"><label for="f-${name}">${words}</label><input id="f-${name}" name="${name}" maxlength="200" value="${filters[name] ?? ''}"></div>\n`)}<button type="submit" class="primary">Show</button>
</form>
<p class="hint"><a href="/admin/audit/export${query({})}">Export all of these as JSON Lines</a></p>
${table('Audit records', heads, rows, 'No record fits.')}
${next ? html`<p><a href="/admin/audit${query({ cursor: next })}">Older records</a></p>` : ''}`
  return frame({ ...framed(options), path: '/admin/audit', title: 'Audit', body })
}

export interface EndManyPageOptions extends Told {
  client: string
  before: string
  reason: string
  /** Counted, and not done yet. */
  count?: { sessions: number; accounts: number; clients: number }
  error?: string
}

/** Ends what a client holds, or everything from before a time: counted first, and only then is there a button for it. */
export function endManyPage(options: EndManyPageOptions): Promise<string> {
  const { client, before, reason, count, error } = options
  const hidden = html`<input type="hidden" name="client" value="${client}"><input type="hidden" name="before" value="${before}"><input type="hidden" name="reason" value="${reason}">`
  const body = html`${error ? html`<p class="notice bad" role="alert">${error}</p>` : ''}
${
  count
    ? html`<div class="notice" role="status"><strong>${count.sessions} ${count.sessions === 1 ? 'session' : 'sessions'}</strong> of ${count.accounts} ${count.accounts === 1 ? 'account' : 'accounts'} in ${count.clients} ${count.clients === 1 ? 'client' : 'clients'} would end. Nothing has happened yet.</div>
<form method="post" action="/admin/end" class="stack narrow">${hidden}<input type="hidden" name="confirmed" value="yes"><button type="submit" class="primary">End ${count.sessions} ${count.sessions === 1 ? 'session' : 'sessions'} now</button></form>
<h2>Something else</h2>`
    : ''
}
<form method="post" action="/admin/end" class="stack narrow">
<div class="field"><label for="client">Client (empty: all)</label><input id="client" name="client" maxlength="2000" autocapitalize="none" spellcheck="false" value="${client}"></div>
<div class="field"><label for="before">Issued before, such as 2026-07-31T12:00:00Z (empty: until now)</label><input id="before" name="before" maxlength="40" value="${before}"></div>
${reasonField('end-many-reason')}
<button type="submit" class="secondary">Count first</button>
</form>`
  return frame({ ...framed(options), path: '/admin/end', title: 'End many', body })
}
