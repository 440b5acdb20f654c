import { html } from 'hono/html'
import { page } from './layout.ts'

export interface SwitchPageOptions {
  issuerName: string
  /** Where the form goes. */
  action: string
  /** The secret that the form carries. */
  xsrf: string
}

/** Asked when somebody signs in where another account is signed in: that one is signed out first. */
export function switchPage({ issuerName, action, xsrf }: SwitchPageOptions): Promise<string> {
  const body = html`<section class="card">
<h1>Sign in as somebody else?</h1>
<p class="lead">Another account is signed in in this browser. If you go on, it is signed out here first, in every app that was opened with this browser.</p>
<div class="choice">
<a class="button secondary" href="/devices">Keep it</a>
<form method="post" action="${action}">
<input type="hidden" name="xsrf" value="${xsrf}">
<input type="hidden" name="logout" value="yes">
<button type="submit" class="primary">Go on</button>
</form>
</div>
</section>`
  return page({ title: 'Sign in as somebody else?', body, issuerName })
}
