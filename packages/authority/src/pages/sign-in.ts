import { html } from 'hono/html'
import { given, page } from './layout.ts'

export interface SignInPageOptions {
  issuerName: string
  /** Where the form goes. */
  action: string
  cancelAction: string
  /** What the app calls itself. */
  clientName: string
  /** Filled in again after a failed attempt. */
  email?: string
  error?: string
  /** Why the person sees this page at all, when they may wonder. */
  reason?: string
  /** Whether they are signed in already, and asked to show that it is them. */
  again?: boolean
}

/** The page for the password: at a sign-in, and once more before what matters. */

export function signInPage(options: SignInPageOptions): Promise<string> {
  const { issuerName, action, cancelAction, clientName, email, error, reason, again } = options
  const title = again ? 'Show that it is you' : 'Sign in'
  const invalid = error ? html` aria-invalid="true" aria-describedby="sign-in-error"` : ''
  const body = html`<section class="card">
<h1>${title}</h1>
<p class="lead">to continue to ${given(clientName)}</p>
${reason ? html`<p class="notice">${reason}</p>` : ''}
${error ? html`<p class="notice bad" id="sign-in-error" role="alert">${error}</p>` : ''}
<form method="post" action="${action}" class="stack">
<div class="field">
<label for="email">Email</label>
<input id="email" name="email" type="email" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="254" required value="${email ?? ''}"${email ? '' : html` autofocus`}${invalid}>
</div>
<div class="field">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required${email ? html` autofocus` : ''}${invalid}>
</div>
<button type="submit" class="primary">${again ? 'Go on' : 'Sign in'}</button>
</form>
<p class="hint"><a href="/forgot">Forgot your password?</a></p>
<form method="post" action="${cancelAction}" class="stack after">
<button type="submit" class="quiet">Cancel</button>
</form>
</section>`
  return page({ title: error ? `Error: ${title}` : title, body, issuerName })
}
