import { html } from 'hono/html'
import { given, page } from './layout.ts'

export interface ConsentPageOptions {
  issuerName: string
  /** Where "Allow" goes. */
  action: string
  /** Where "Deny" goes. */
  cancelAction: string
  /** What the app calls itself. Nobody has checked it. */
  clientName: string
  clientUri?: string
  /** The host that gets the answer: the one thing about the app that is certain. */
  redirectHost: string
  accountEmail: string
  scopes: { name: string; description: string }[]
  /** The API or MCP server that the tokens are for. */
  resource?: string
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i

export function consentPage(options: ConsentPageOptions): Promise<string> {
  const { action, cancelAction, clientName, clientUri, redirectHost, accountEmail } = options
  const { issuerName, scopes, resource } = options
  const onThisDevice = loopback.test(redirectHost)
  const body = html`<section class="card">
<h1>Allow ${given(clientName)} to use your account?</h1>
<p class="lead">You are signed in as ${given(accountEmail)}</p>

<h2>Who is asking</h2>
<dl class="facts">
<div><dt>Calls itself</dt><dd>${given(clientName)} <span class="aside">not verified</span></dd></div>
${clientUri ? html`<div><dt>Gives as its site</dt><dd>${given(clientUri)} <span class="aside">not verified</span></dd></div>` : ''}
<div class="certain"><dt>Returns you to</dt><dd><strong>${given(redirectHost)}</strong>${
    onThisDevice ? html` <span class="aside">a program on this device</span>` : ''
  }</dd></div>
${resource ? html`<div><dt>To use</dt><dd>${given(resource)}</dd></div>` : ''}
</dl>
<p class="hint">An app can take any name. Allow it only if you started this, and you know ${
    onThisDevice ? 'the program you started it from' : 'the address it returns you to'
  }.</p>

<h2>What it may do</h2>
${
  scopes.length === 0
    ? html`<p>Nothing beyond knowing that you signed in.</p>`
    : html`<ul class="scopes">
${scopes.map((scope) => html`<li><span>${scope.description}</span> <code>${scope.name}</code></li>\n`)}</ul>`
}

<div class="choice">
<form method="post" action="${cancelAction}"><button type="submit" class="secondary">Deny</button></form>
<form method="post" action="${action}"><button type="submit" class="primary">Allow</button></form>
</div>
<p class="hint">When this session is ended, all of this stops at once.</p>
</section>`
  return page({ title: `Allow ${clientName}?`, body, issuerName })
}
