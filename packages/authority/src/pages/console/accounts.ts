import { html } from 'hono/html'
import type { AccountReport } from '../../account-report.ts'
import type { AdminAccount, AdminSession } from '../../admin-lists.ts'
import { given, type Markup } from '../layout.ts'
import { time } from '../reasons.ts'
import type { Told } from '../told.ts'
import { by, frame, reasonField, table, why } from './frame.ts'

/** So much of what happened to an account is on its page; the audit log has all of it. */
const NEWEST = 100

export interface FindPageOptions {
  issuerName: string
  told?: Told
  error?: string
  /** Those that somebody should have a look at. */
  review: AdminAccount[]
  who?: string
}

/** The way to an account. */
export function findPage({ issuerName, told, error, review, who }: FindPageOptions): Promise<string> {
  const rows = review.map(
    ({ sub, email, reviewSince = '' }) =>
      html`<tr><td><a href="/admin/accounts/${sub}">${given(email)}</a></td><td>${time(reviewSince)}</td></tr>\n`,
  )
  const body = html`<form method="get" action="/admin/accounts" class="stack narrow">
<div class="field"><label for="who">Email or account id</label><input id="who" name="who" autocapitalize="none" spellcheck="false" maxlength="254" required value="${who ?? ''}"></div>
<button type="submit" class="primary">Find the account</button>
</form>
<h2>To look at</h2>
${table('Accounts to look at', ['Account', 'Since'], rows, 'No account is marked for review.')}`
  return frame({ issuerName, path: '/admin', title: 'Accounts', told, error, body })
}

export interface AccountPageOptions {
  issuerName: string
  told?: Told
  /** What was wrong with what was asked, and the reason that was given for it. */
  error?: string
  reason?: string
  report: AccountReport
}

/** One account: its devices, sessions and activity, and all that can be done to it. */
export function accountPage(options: AccountPageOptions): Promise<string> {
  const { issuerName, told, error, reason, report } = options
  const { account, devices, sessions, signIns, records, more } = report
  const newest = records.slice(-NEWEST).reverse()
  const live = sessions.filter(({ endedAt }) => endedAt === undefined)
  const body = html`${stateOf(account)}
<h2>Sessions</h2>
${live.length === 0 ? html`<p class="hint">Nothing is signed in.</p>` : endForm(account, live, new Map(devices.map(({ id, name }) => [id, name])), reason)}
<h2>The account itself</h2>
<div class="deeds">${deeds(account)}</div>
<h2>Devices</h2>
${table(
  'Devices',
  ['Device', 'Where', 'First seen', 'Last seen'],
  devices.map(
    ({ name, address, place, firstSeen, lastSeen }) =>
      html`<tr><td>${given(name)}</td><td>${given(address)}${place === 'unknown' ? '' : html`, ${given(place)}`}</td><td>${time(firstSeen)}</td><td>${time(lastSeen)}</td></tr>\n`,
  ),
  'No device was noted.',
)}
<h2>Sign-ins of the last 30 days</h2>
${table(
  'Sign-ins',
  ['Address', 'Succeeded', 'Failed', 'Last'],
  signIns.map(
    ({ address, succeeded, failed, last }) =>
      html`<tr><td>${address}</td><td>${succeeded}</td><td>${failed}</td><td>${time(last)}</td></tr>\n`,
  ),
  'There was none.',
)}
<h2>What happened in the last 30 days</h2>
${table(
  'Activity',
  ['When', 'What', 'By', 'From', 'Why'],
  newest.map(
    ({ at, event, actor, address = '', reason = '', detail = '' }) =>
      html`<tr><td>${time(at)}</td><td>${event}</td><td>${by(actor, account.sub)}</td><td>${address}</td><td>${why({ reason, detail })}</td></tr>\n`,
  ),
  'Nothing.',
)}
<p class="hint">${more || records.length > NEWEST ? `These are the newest ${newest.length}. ` : ''}<a href="/admin/audit?sub=${account.sub}">See all of it in the audit log</a></p>`
  return frame({ issuerName, path: '/admin', title: account.email, told, error, body })
}

function stateOf({ sub, name, createdAt, reviewSince, resetRequired, deactivatedAt }: AdminAccount): Markup {
  return html`<dl class="facts">
<div><dt>Name</dt><dd>${given(name)}</dd></div>
<div><dt>Id</dt><dd><code class="pick">${sub}</code></dd></div>
<div><dt>Added</dt><dd>${time(createdAt)}</dd></div>
${reviewSince ? html`<div><dt>To look at</dt><dd>since ${time(reviewSince)}</dd></div>` : ''}
${resetRequired ? html`<div><dt>Password</dt><dd>opens nothing until a new one is set</dd></div>` : ''}
${deactivatedAt ? html`<div><dt>Deactivated</dt><dd>since ${time(deactivatedAt)}</dd></div>` : ''}
</dl>`
}

function endForm(
  { sub }: AdminAccount,
  live: AdminSession[],
  names: Map<string, string>,
  reason?: string,
): Markup {
  const rows = live.map(
    ({ sid, clientId, device = '', openedAt, lastSeen }) =>
      html`<tr><td><input type="checkbox" id="s-${sid}" name="session-${sid}" value="yes"><label for="s-${sid}">${given(clientId)}</label></td><td>${given(names.get(device) ?? 'unknown')}</td><td>${time(openedAt)}</td><td>${time(lastSeen)}</td><td><code>${sid}</code></td></tr>\n`,
  )
  return html`<form method="post" action="/admin/accounts/${sub}/end" class="stack">
${table('Live sessions', ['App', 'Device', 'Opened', 'Last used', 'Id'], rows, '')}
${reasonField('end-reason', reason)}
<div class="choice"><button type="submit" class="secondary" name="what" value="some">End the marked ones</button><button type="submit" class="primary" name="what" value="all">${live.length === 1 ? 'End it' : `End all ${live.length}`}</button></div>
</form>`
}

function deeds({ sub, reviewSince, deactivatedAt }: AdminAccount): Markup {
  const deed = (what: string, words: string, hint: string) =>
    html`<form method="post" action="/admin/accounts/${sub}/${what}" class="stack"><h3>${words}</h3><p class="hint">${hint}</p>${reasonField(`${what}-reason`)}<button type="submit" class="secondary">${words}</button></form>\n`
  return html`${deed('compromise', 'Force a new password', 'All sessions end, the password opens nothing, and a link to set a new one is mailed.')}
${
  deactivatedAt
    ? deed('reactivate', 'Let in again', 'They can sign in again. What was ended stays ended.')
    : deed(
        'deactivate',
        'Deactivate',
        'All sessions end, and nobody can sign in until you let them in again.',
      )
}
${
  reviewSince
    ? html`<form method="post" action="/admin/accounts/${sub}/reviewed" class="stack"><h3>Looked at</h3><p class="hint">Takes it off the list of those to look at.</p><button type="submit" class="secondary">Mark as looked at</button></form>`
    : ''
}`
}
