import { html } from 'hono/html'
import type { Markup } from './layout.ts'

/** Why a session ended, as people read it. */
export const REASON_WORDS: Record<string, string> = {
  user_logout: 'Logged out',
  device_removed: 'Logged out from another device',
  password_change: 'The password was changed',
  account_compromise: 'The account was reported as taken over',
  suspicious_activity: 'Something unusual was seen',
  token_reuse: 'A stolen or copied token was used',
  account_switch: 'Somebody else signed in',
  app_uninstall: 'The app was removed',
  session_timeout: 'It was not used for a long time, or was too old',
  admin_forced: 'Ended by an administrator',
  upstream_logout: 'Logged out where the account comes from',
}

/** A time as people and programs read it; `at` in ms or ISO 8601. */
export function time(at: number | string): Markup {
  const iso = new Date(at).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`
}
