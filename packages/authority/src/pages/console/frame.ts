import { html } from 'hono/html'
import { given, type Markup, page, waysOn } from '../layout.ts'
import { REASON_WORDS } from '../reasons.ts'
import { notice, type Told } from '../told.ts'

/** Where the console leads. */
const SECTIONS: [path: string, name: string][] = [
  ['/admin', 'Accounts'],
  ['/admin/clients', 'Clients'],
  ['/admin/services', 'Services'],
  ['/admin/deliveries', 'Deliveries'],
  ['/admin/audit', 'Audit'],
  ['/admin/live', 'Live'],
  ['/admin/end', 'End many'],
]

export interface FrameOptions {
  issuerName: string
  /** The section that is shown. */
  path: string
  title: string
  /** What was just done. */
  told?: Told
  /** What was wrong with what was asked. */
  error?: string
  body: Markup
  /** What else styles it. */
  styles?: string[]
}

/** A page of the console, with the way to the others. */
export function frame(options: FrameOptions): Promise<string> {
  const { issuerName, path, title, told, error, body, styles } = options
  const links = SECTIONS.map(
    ([to, name]) =>
      html`<li><a href="${to}"${to === path ? html` aria-current="page"` : ''}>${name}</a></li>\n`,
  )
  const whole = html`<div class="sheet console">
<nav aria-label="Console"><ul class="sections">
${links}</ul></nav>
<h1>${title}</h1>
${notice(told)}${error ? html`<p class="notice bad" role="alert">${error}</p>` : ''}
${body}
${waysOn([
  ['/devices', 'Your own devices'],
  ['/oauth/logout', 'Sign out'],
])}
</div>`
  return page({ title: error ? `Error: ${title}` : title, body: whole, issuerName, styles })
}

/** A table that scrolls by itself where the screen is narrow. */
export function table(label: string, heads: string[], rows: Markup[], none: string): Markup {
  if (rows.length === 0) return html`<p class="hint">${none}</p>`
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}">
<table class="wide">
<thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>
${rows}</tbody>
</table>
</div>`
}

/** Why, in an administrator's words: nothing ends without it. */
export function reasonField(id: string, value = ''): Markup {
  return html`<div class="field"><label for="${id}">Reason, for the audit log</label><input id="${id}" name="reason" minlength="3" maxlength="500" required value="${value}"></div>`
}

/** Who did it: an account has a page of its own. */
export function by(actor: string, sub?: string): Markup {
  const [, account] = /^account:([\w-]{1,64})$/.exec(actor) ?? []
  if (account === undefined) return html`${actor}`
  if (account === sub) return html`the account`
  return html`<a href="/admin/accounts/${account}">account ${account.slice(0, 8)}…</a>`
}

/** Why, of an audit record: the reason, and what else is known. */
export function why({ reason, detail }: { reason: string; detail: string }): Markup {
  const words = REASON_WORDS[reason] ?? reason
  return html`${words}${words && detail ? ' · ' : ''}${detail ? given(detail) : ''}`
}
