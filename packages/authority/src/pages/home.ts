import { html } from 'hono/html'
import { page, waysOn } from './layout.ts'

export interface HomePageOptions {
  issuerName: string
  issuer: string
  mcpUrl: string
  docs: { label: string; href: string }[]
}

/** The front page of an authority: what it is, the one call that matters, and where everything answers. */
export function homePage({ issuerName, issuer, mcpUrl, docs }: HomePageOptions): Promise<string> {
  const base = issuer.replace(/\/+$/, '')
  const call = `curl ${base}/v1/revoke \\
  -H 'content-type: application/json' \\
  -d '{"accessToken":"…","refreshToken":"…"}'`
  const answer = `{ "success": true,
  "message": "OAuth tokens revoked successfully. You have been logged out." }`
  const links = docs.filter(({ href }) => isPlainLink(href))
  const body = html`<div class="sheet">
<section>
<h1>Logged out means logged out.</h1>
<p class="lead">This is a Rescind session authority. One call makes an access token and a refresh token dead: here, at every API that trusts them, on every open connection.</p>
${waysOn([
  ['/devices', 'See where you are signed in'],
  ['/forgot', 'Forgot your password?'],
])}
</section>

<section>
<h2>End a session</h2>
<p>Holding the tokens is the proof. Nothing else is needed.</p>
<pre tabindex="0" role="region" aria-label="Request"><code>${call}</code></pre>
<pre tabindex="0" role="region" aria-label="Answer" class="answer"><code>${answer}</code></pre>
<p>Agents have the same call as the MCP tool <code>revoke_oauth_tokens</code>.</p>
</section>

<section>
<h2>Endpoints</h2>
<p>All at <code>${base}</code></p>
<dl class="endpoints">
${endpoints(base, mcpUrl).map(([what, method, url]) => html`<div><dt>${what}</dt><dd><span class="method">${method}</span> <code>${url}</code></dd></div>\n`)}</dl>
</section>
${
  links.length === 0
    ? ''
    : html`
<nav aria-labelledby="reading">
<h2 id="reading">Reading</h2>
<ul class="links">
${links.map(({ label, href }) => html`<li><a href="${href}">${label}</a></li>\n`)}</ul>
</nav>`
}
</div>`
  return page({ title: 'Session authority', body, issuerName })
}

function endpoints(base: string, mcpUrl: string): [what: string, method: string, url: string][] {
  return [
    ['MCP server', 'POST', mcpUrl.startsWith(`${base}/`) ? mcpUrl.slice(base.length) : mcpUrl],
    ['Revoke both tokens', 'POST', '/v1/revoke'],
    ['Discovery', 'GET', '/.well-known/openid-configuration'],
    ['Authorization', 'GET', '/oauth/authorize'],
    ['Token', 'POST', '/oauth/token'],
    ['Revocation (RFC 7009)', 'POST', '/oauth/revoke'],
    ['Introspection (RFC 7662)', 'POST', '/oauth/introspect'],
  ]
}

/** A path of this site, or a web address: never `javascript:` and its kin, which escaping lets through. */
function isPlainLink(href: string): boolean {
  return /^(https?:\/\/|\/(?![/\\]))/i.test(href)
}
