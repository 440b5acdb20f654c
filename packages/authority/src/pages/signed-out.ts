import { html, raw } from 'hono/html'
import { given, page, waysOn } from './layout.ts'
import { notice, type Told } from './told.ts'

/** After the person chose to sign out of the authority in this browser. */
export function signedOutPage({ issuerName }: { issuerName: string }): Promise<string> {
  const body = html`<section class="card">
<div class="ended" aria-hidden="true"></div>
<h1>Nobody is signed in here</h1>
<p class="lead">Every session that was opened by signing in here with this browser has ended. Apps that were signed
in to by other means are not touched.</p>
<p>You can close this page.</p>
${waysOn([['/devices', 'Sign in again']])}
</section>`
  return page({ title: 'Signed out', body, issuerName })
}

/** After the person chose to stay. */
export function stayedPage({
  issuerName,
  clientName,
}: {
  issuerName: string
  clientName: string
}): Promise<string> {
  const body = html`<section class="card">
<h1>You are still signed in</h1>
<p class="lead">Nothing has changed. ${given(clientName)} goes on as before.</p>
<p>You can close this page.</p>
${waysOn([['/devices', 'Your devices']])}
</section>`
  return page({ title: 'Still signed in', body, issuerName })
}

export interface ConfirmSignOutPageOptions {
  issuerName: string
  /** Trusted HTML: the hidden form, whose id is `op.logoutForm`. It alone is not escaped. */
  form: string
  /** The host of this authority. */
  host: string
}

/** Asked when somebody follows a link that signs out, so that no other site can do it behind their back. */
export function confirmSignOutPage({ issuerName, form, host }: ConfirmSignOutPageOptions): Promise<string> {
  const body = html`<section class="card">
<h1>Sign out?</h1>
<p class="lead">It ends every session that was opened by signing in to ${given(host)} with this browser, in every app.</p>
${raw(form)}
<div class="choice">
<button type="submit" form="op.logoutForm" class="secondary">Stay signed in</button>
<button type="submit" form="op.logoutForm" name="logout" value="yes" class="primary">Sign out</button>
</div>
</section>`
  return page({ title: 'Sign out?', body, issuerName })
}

/** After somebody ended what they were signed in to here. */
export function leftPage({
  issuerName,
  told,
  back = '/devices',
}: {
  issuerName: string
  told: Told
  back?: string
}): Promise<string> {
  const body = html`<section class="card">
<div class="ended" aria-hidden="true"></div>
<h1>You are signed out here</h1>
<p class="lead">What you ended was signed in in this browser, too.</p>
${notice(told)}
<p>You can close this page.</p>
${waysOn([[back, 'Sign in again']])}
</section>`
  return page({ title: 'You are signed out here', body, issuerName })
}
