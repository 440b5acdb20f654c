import { html } from 'hono/html'
import type { Markup } from './layout.ts'

/** What was ended, and who has confirmed it. */
export type Done = {
  /** When it was durable, in ms. */
  at: number
  /** How much was ended; 0: nothing was signed in any more. */
  ended: number
  /** Of so many connected services that it concerns, so many have confirmed it. */
  confirmed: number
  services: number
}

/** What a page tells of what was just done. */
export type Told = Done | { words: string }

/** What was just done, in a notice of its own. */
export function notice(told: Told | undefined): Markup {
  if (!told) return html``
  return html`<p class="notice done" role="status">${'words' in told ? told.words : doneWords(told)}</p>`
}

function doneWords({ at, ended, confirmed, services }: Done): Markup {
  if (ended === 0) return html`Nothing was signed in there any more.`
  const iso = new Date(at).toISOString()
  const time = html`<time datetime="${iso}">${iso.slice(11, 19)} UTC</time>`
  const of = services === 1 ? '1 service' : `${services} services`
  const by = services === 0 ? 'no connected service had to be told' : `confirmed by ${confirmed} of ${of}`
  const rest = confirmed < services ? ' The others refuse it within seconds.' : ''
  return html`<strong>Ended at ${time}</strong>, ${by}.${rest}`
}
