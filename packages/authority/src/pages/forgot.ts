import { html } from 'hono/html'
import { given, page, waysOn } from './layout.ts'

/** Asks for the e-mail of an account whose password somebody forgot. */
export function forgotPage({ issuerName }: { issuerName: string }): Promise<string> {
  const body = html`<section class="card">
<h1>Forgot your password?</h1>
<p class="lead">We mail you a link with which you set a new one.</p>
<form method="post" action="/forgot" class="stack">
<div class="field">
<label for="email">Email</label>
<input id="email" name="email" type="email" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="254" required autofocus>
</div>
<button type="submit" class="primary">Mail me a link</button>
</form>
${waysOn([['/devices', 'I know it: sign in']])}
</section>`
  return page({ title: 'Forgot your password?', body, issuerName })
}

/** The same words whether there is such an account or not. */
export function linkSentPage({ issuerName, email }: { issuerName: string; email: string }): Promise<string> {
  const body = html`<section class="card">
<h1>Look at your mail</h1>
<p class="lead">If ${given(email)} has an account here, a link is on its way. It works once, within an hour.</p>
<p>Until you use it, your password and your sessions stay as they are.</p>
<p class="hint">No mail after some minutes? Look among the unwanted ones, and at how the address is written.</p>
${waysOn([
  ['/forgot', 'Ask again'],
  ['/devices', 'Sign in'],
])}
</section>`
  return page({ title: 'Look at your mail', body, issuerName })
}

/** Where nothing can be mailed: a promise of a mail would not be kept. */
export function noMailPage({ issuerName }: { issuerName: string }): Promise<string> {
  const body = html`<section class="card">
<h1>Forgot your password?</h1>
<p class="lead">No mail is sent from here. Whoever runs ${given(issuerName)} can set a new password for you: ask them.</p>
${waysOn([['/devices', 'Sign in']])}
</section>`
  return page({ title: 'Forgot your password?', body, issuerName })
}
