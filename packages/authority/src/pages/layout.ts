import { html } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'

/** HTML in which everything that came from outside is already escaped. */
export type Markup = HtmlEscapedString | Promise<HtmlEscapedString>

export interface PageOptions {
  /** What the tab says, before the name of the issuer. */
  title: string
  body: Markup
  /** Whose authority this is, in the masthead and the tab. */
  issuerName?: string
  /** Stylesheets besides ours, by path. */
  styles?: string[]
}

/**
 * A complete document around `body`. It works under a policy that allows no script and no inline style: everything
 * it needs is `/assets/rescind.css` and `/assets/rescind.svg`.
 */
export async function page({
  title,
  body,
  issuerName = 'Rescind',
  styles = [],
}: PageOptions): Promise<string> {
  const document = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title} · ${issuerName}</title>
<link rel="icon" href="/assets/rescind.svg" type="image/svg+xml">
${styles.map((path) => html`<link rel="stylesheet" href="${path}">\n`)}<link rel="stylesheet" href="/assets/rescind.css">
</head>
<body>
<header class="masthead">
<img src="/assets/rescind.svg" alt="" width="28" height="28">
<span class="wordmark">${issuerName}</span>
</header>
<main>
${body}
</main>
</body>
</html>
`
  return document.toString()
}

/** A name that somebody else chose: kept apart, so that its writing direction can't reorder the words around it. */
export function given(name: string): Markup {
  return html`<bdi class="given">${name}</bdi>`
}
