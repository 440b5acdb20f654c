import { html, raw } from 'hono/html'
import { given, page } from './layout.ts'

export function signedOutPage({ clientName }: { clientName?: string }): Promise<string> {
  const body = html`<section class="card">
<div class="ended" aria-hidden="true"></div>
<h1>You are signed out</h1>
<p class="lead">${
    clientName ? html`Your session in ${given(clientName)} has ended.` : 'Your session has ended.'
  } Its tokens are refused from now on, everywhere.</p>
<p>You can close this page.</p>
</section>`
  return page({ title: 'Signed out', body })
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
