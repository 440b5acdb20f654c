import { html } from 'hono/html'
import type { HtmlEscapedString } from 'hono/utils/html'
import { plain } from '../plain.ts'

/** An e-mail address has 254 characters at most, the name of a host 253. */
const LONGEST = 500

/** HTML in which everything that came from outside is already escaped. */
export type Markup = HtmlEscapedString | Promise<HtmlEscapedString>

export interface PageOptions {
  /** What the tab says, before the name of the issuer. */
  title: string
  body: Markup
  /** Whose authority this is, in the masthead and the tab. */
  issuerName: string
  /** Stylesheets besides ours, by path. */
  styles?: string[]
}

/** What turns the words around it back to front. No text on a page needs it, and one that has it wants to deceive. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/g

/**
 * A complete document around `body`. It works under a policy that allows no script and no inline style: everything
 * it needs is `/assets/rescind.css` and `/assets/rescind.svg`.
 */
export async function page({ title, body, issuerName, styles = [] }: PageOptions): Promise<string> {
  const document = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${plain(title, LONGEST)} · ${issuerName}</title>
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
  return document.toString().replace(TURNS, '')
}

/**
 * A name that somebody else chose: kept apart, so that its writing direction can't reorder the words around it, and
 * without what is not seen.
 */
export function given(name: string): Markup {
  return html`<bdi class="given">${plain(name, LONGEST)}</bdi>`
}

/** Where the person can go from here: no page is a dead end. */
export function waysOn(ways: [href: string, words: string][]): Markup {
  return html`<p class="ways">${ways.map(([href, words], index) => html`${index > 0 ? ' ' : ''}<a href="${href}">${words}</a>`)}</p>`
}
