import { html, raw } from 'hono/html'
import { given, page } from './layout.ts'

/** After the person chose to sign out of the authority in this browser. */
export function signedOutPage(): Promise<string> {
  const body = html`<section class="card">
<div class="ended" aria-hidden="true"></div>
<h1>Nobody is signed in here</h1>
<p class="lead">Every session that was opened by signing in here with this browser has ended. Apps that were signed
in to by other means are not touched.</p>
<p>You can close this page.</p>
</section>`
  return page({ title: 'Signed out', body })
}

/** After the person chose to stay. */
export function stayedPage({ clientName }: { clientName: string }): Promise<string> {
  const body = html`<section class="card">
<h1>You are still signed in</h1>
<p class="lead">Nothing has changed. ${given(clientName)} goes on as before.</p>
<p>You can close this page.</p>
</section>`
  return page({ title: 'Still signed in', body })
}

export interface ConfirmSignOutPageOptions {
  /** Trusted HTML: the hidden form, whose id is `op.logoutForm`. It alone is not escaped. */
  form: string
  /** The host of this authority. */
  host: string
}

/** Asked when somebody follows a link that signs out, so that no other site can do it behind their back. */
export function confirmSignOutPage({ form, host }: ConfirmSignOutPageOptions): Promise<string> {
  const body = html`<section class="card">
<h1>Sign out?</h1>
<p class="lead">An app asked to sign you out of ${given(host)}</p>
${raw(form)}
<div class="choice">
<button type="submit" form="op.logoutForm" class="secondary">Stay signed in</button>
<button type="submit" form="op.logoutForm" name="logout" value="yes" class="primary">Sign out</button>
</div>
</section>`
  return page({ title: 'Sign out?', body })
}
