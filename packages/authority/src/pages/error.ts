import { html } from 'hono/html'
import { page, waysOn } from './layout.ts'

export interface ErrorPageOptions {
  issuerName: string
  title: string
  message: string
  /** The stable code, for whoever looks into it. */
  code?: string
  /** What to quote to whoever runs this authority. */
  requestId?: string
  /** Where to go from here; to one’s devices, when it is left out. */
  ways?: [href: string, words: string][]
}

export function errorPage(options: ErrorPageOptions): Promise<string> {
  const { issuerName, title, message, code, requestId, ways = [['/devices', 'Your devices']] } = options
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
${waysOn(ways)}
</section>`
  return page({ title, body, issuerName })
}
