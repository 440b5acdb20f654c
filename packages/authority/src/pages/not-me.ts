import { html } from 'hono/html'
import { page, waysOn } from './layout.ts'
import { type Done, notice } from './told.ts'

/** Where "this wasn't me" leads. Nothing is done yet: mail scanners come here too. */
export function notMePage({ issuerName, code }: { issuerName: string; code: string }): Promise<string> {
  const body = html`<section class="card">
<h1>Was it somebody else?</h1>
<p class="lead">We then sign out everything that is signed in to your account, on every device, and its password opens nothing any more.</p>
<p>You get another mail, with a link to set a new password. An e-mail address that was changed in the last days is set back.</p>
<form method="post" action="/not-me" class="stack">
<input type="hidden" name="code" value="${code}">
<button type="submit" class="primary">It wasn’t me: sign out everywhere</button>
</form>
<p class="hint">If it was you, close this page. Nothing has changed.</p>
${waysOn([['/devices', 'See where you are signed in']])}
</section>`
  return page({ title: 'Was it somebody else?', body, issuerName })
}

export function notMeDonePage({ issuerName, done }: { issuerName: string; done: Done }): Promise<string> {
  const body = html`<section class="card">
<div class="ended" aria-hidden="true"></div>
<h1>Everything is signed out</h1>
<p class="lead">Every session of your account has ended, and its old password opens nothing.</p>
${notice(done)}
<p>Look at your mail: the link there sets a new password. Take one that you use nowhere else.</p>
${waysOn([['/forgot', 'No mail? Ask for another link']])}
</section>`
  return page({ title: 'Everything is signed out', body, issuerName })
}
