import { html } from 'hono/html'
import { page } from './layout.ts'

export interface ErrorPageOptions {
  title: string
  message: string
  /** The stable code, for whoever looks into it. */
  code?: string
  /** What to quote to whoever runs this authority. */
  requestId?: string
}

export function errorPage({ title, message, code, requestId }: ErrorPageOptions): Promise<string> {
  const body = html`<section class="card">
<h1>${title}</h1>
<p class="lead">${message}</p>
${
  code || requestId
    ? html`<dl class="facts">
${code ? html`<div><dt>Code</dt><dd><code>${code}</code></dd></div>` : ''}
${requestId ? html`<div><dt>Request</dt><dd><code class="pick">${requestId}</code></dd></div>` : ''}
</dl>
${requestId ? html`<p class="hint">If you ask for help, give the request number with it.</p>` : ''}`
    : ''
}
</section>`
  return page({ title, body })
}
