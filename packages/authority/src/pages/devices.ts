import { html } from 'hono/html'
import type { ListedDevice } from '../own-devices.ts'
import type { ListedSession } from '../own-sessions.ts'
import { plain } from '../plain.ts'
import { given, type Markup, page, waysOn } from './layout.ts'
import { REASON_WORDS, time } from './reasons.ts'
import { notice, type Told } from './told.ts'

export interface DevicesPageOptions {
  issuerName: string
  email: string
  devices: ListedDevice[]
  sessions: ListedSession[]
  /** What was just done. */
  told?: Told
  /** Whether the account administers this authority. */
  administers: boolean
}

/** What one's account is signed in on, and the way to end it. */
export function devicesPage(options: DevicesPageOptions): Promise<string> {
  const { issuerName, email, devices, sessions, told, administers } = options
  const live = sessions.filter(({ endedAt }) => endedAt === undefined)
  const ended = sessions.filter(({ endedAt }) => endedAt !== undefined)
  const used = devices.filter(({ sessions: count, current }) => count > 0 || current)
  const inOrder = [...used.filter(({ current }) => current), ...used.filter(({ current }) => !current)]
  const nowhere = live.filter(({ device }) => device === undefined)
  const elsewhere = used.some(({ current, sessions: count }) => !current && count > 0) || nowhere.length > 0
  const body = html`<div class="sheet">
<h1>Your devices</h1>
<p class="lead">Where ${given(email)} is signed in.</p>
${notice(told)}
${
  inOrder.length + nowhere.length === 0
    ? ''
    : html`<ul class="devices">
${inOrder.map((device) => deviceCard(device, live))}
${nowhere.map(strayCard)}</ul>
`
}${
  elsewhere
    ? html`<p class="choice"><a class="button secondary" href="/devices/others">Log out all other devices</a></p>`
    : html`<p class="hint">${inOrder.length === 0 ? 'No app is signed in.' : 'Nothing else is signed in.'}</p>`
}
${ended.length > 0 ? recently(ended.slice(0, 20)) : ''}
<p class="hint after-all">Something here was not you? Log it out, then <a href="/forgot">set a new password</a>, which signs out everything.</p>
${waysOn([['/oauth/logout', `Sign out of ${issuerName} in this browser`], ...(administers ? ([['/admin', 'Administration']] as [string, string][]) : [])])}
</div>`
  return page({ title: 'Your devices', body, issuerName })
}

function deviceCard(device: ListedDevice, live: ListedSession[]): Markup {
  const { id, name, browser, os, current, firstSeen, lastSeen, address, place, sessions } = device
  const here = live.filter((one) => one.device?.id === id)
  const apps = [...new Set(here.map(({ client }) => client.name))]
  const kind = [browser, os].filter(Boolean).join(' on ')
  return html`<li class="device">
<div class="what">
<h2>${given(name)}${current ? html` <span class="badge">This device</span>` : ''}</h2>
<dl class="facts">
${kind && kind !== name ? html`<div><dt>Browser</dt><dd>${kind}</dd></div>` : ''}
<div><dt>Apps</dt><dd>${
    apps.length === 0
      ? 'none, only this page'
      : apps.map((app, index) => html`${index > 0 ? ', ' : ''}${given(app)}`)
  }</dd></div>
<div><dt>Where</dt><dd>${place === 'unknown' ? '' : html`${place}, `}${address}</dd></div>
<div><dt>Last used</dt><dd>${time(lastSeen)}</dd></div>
<div><dt>First seen</dt><dd>${time(firstSeen)}</dd></div>
</dl>
</div>
<div class="actions">
${
  sessions > 0
    ? html`<form method="post" action="/devices/end"><input type="hidden" name="device" value="${id}"><button type="submit" class="secondary" aria-label="Log out ${plain(name, 100)}">Log out</button></form>`
    : ''
}
<details><summary aria-label="Rename ${plain(name, 100)}">Rename</summary>
<form method="post" action="/devices/rename" class="stack"><input type="hidden" name="device" value="${id}">
<div class="field"><label for="name-${id}">New name</label><input id="name-${id}" name="name" maxlength="60" required value="${name}"></div>
<button type="submit" class="secondary">Save the name</button></form></details>
</div>
</li>
`
}

/** A session from before devices were noted. */
function strayCard({ sid, client, openedAt, lastSeen }: ListedSession): Markup {
  return html`<li class="device">
<div class="what">
<h2>${given(client.name)}</h2>
<dl class="facts">
<div><dt>Device</dt><dd>unknown</dd></div>
<div><dt>Last used</dt><dd>${time(lastSeen)}</dd></div>
<div><dt>Opened</dt><dd>${time(openedAt)}</dd></div>
</dl>
</div>
<div class="actions"><form method="post" action="/devices/end"><input type="hidden" name="session" value="${sid}"><button type="submit" class="secondary" aria-label="Log out ${plain(client.name, 100)}">Log out</button></form></div>
</li>
`
}

function recently(ended: ListedSession[]): Markup {
  return html`<section>
<h2 id="ended">Recently ended</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="ended">
<table>
<thead><tr><th scope="col">When</th><th scope="col">App</th><th scope="col">Device</th><th scope="col">Why</th></tr></thead>
<tbody>
${ended.map(
  ({ endedAt = '', client, device, reason }) =>
    html`<tr><td>${time(endedAt)}</td><td>${given(client.name)}</td><td>${given(device?.name ?? 'unknown')}</td><td>${REASON_WORDS[`${reason}`] ?? ''}</td></tr>\n`,
)}</tbody>
</table>
</div>
</section>`
}

/** Asked before everything else is ended. */
export function othersPage({ issuerName, count }: { issuerName: string; count: number }): Promise<string> {
  const body = html`<section class="card">
<h1>Log out all other devices?</h1>
<p class="lead">${
    count === 1 ? 'One session ends' : `${count} sessions end`
  }, in every app, at once. This device stays signed in.</p>
<div class="choice">
<a class="button secondary" href="/devices">Keep them</a>
<form method="post" action="/devices/others"><button type="submit" class="primary">Log them out</button></form>
</div>
</section>`
  return page({ title: 'Log out all other devices?', body, issuerName })
}
