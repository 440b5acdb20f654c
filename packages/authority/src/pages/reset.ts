import { html } from 'hono/html'
import { page, waysOn } from './layout.ts'
import { type Done, notice } from './told.ts'

export interface ResetPageOptions {
  issuerName: string
  /** The code of the link; the form carries it on. */
  code: string
  error?: string
}

/** Where a mailed link leads: a new password. */
export function resetPage({ issuerName, code, error }: ResetPageOptions): Promise<string> {
  const invalid = error ? html` aria-invalid="true" aria-describedby="reset-error reset-hint"` : ''
  const body = html`<section class="card">
<h1>Set a new password</h1>
<p class="lead">Everything that is signed in to your account is signed out with it, on every device.</p>
${error ? html`<p class="notice bad" id="reset-error" role="alert">${error}</p>` : ''}
<form method="post" action="/reset" class="stack">
<input type="hidden" name="code" value="${code}">
<div class="field">
<label for="newPassword">New password</label>
<input id="newPassword" name="newPassword" type="password" autocomplete="new-password" minlength="8" maxlength="1024" required autofocus${invalid || html` aria-describedby="reset-hint"`}>
<p class="hint" id="reset-hint">At least 8 characters. Take one that you use nowhere else.</p>
</div>
<button type="submit" class="primary">Set it and sign out everywhere</button>
</form>
<p class="hint">Nothing changes before you send this.</p>
</section>`
  return page({ title: error ? 'Error: Set a new password' : 'Set a new password', body, issuerName })
}

export function resetDonePage({ issuerName, done }: { issuerName: string; done: Done }): Promise<string> {
  const body = html`<section class="card">
<div class="ended" aria-hidden="true"></div>
<h1>Your password is set</h1>
<p class="lead">Every session of your account has ended. Sign in again in your apps with the new password.</p>
${notice(done)}
<p>You can close this page.</p>
${waysOn([['/devices', 'Sign in and see your devices']])}
</section>`
  return page({ title: 'Your password is set', body, issuerName })
}
