import { html } from 'hono/html'
import { given, type Markup, page } from './layout.ts'
import { utc } from './reasons.ts'

/** Why, as the page says it; what was behind it, without naming anybody; and what to do next. */
const TOLD: Record<string, { why: string; next: string; alarming?: true }> = {
  user_logout: { why: 'You logged out.', next: 'Sign in again in the app whenever you like.' },
  device_removed: {
    why: 'This device was logged out from another one.',
    next: 'If that was you, sign in again in the app.',
    alarming: true,
  },
  password_change: {
    why: 'The password of the account was changed, which ends every other session.',
    next: 'Sign in again with the new password.',
    alarming: true,
  },
  account_compromise: {
    why: 'The account was reported as taken over, so everything was signed out.',
    next: 'Set a new password through the link that was mailed, then sign in again.',
  },
  suspicious_activity: {
    why: 'Something unusual was seen in this session, so it was ended.',
    next: 'Sign in again. If you use the same password elsewhere, set a new one.',
    alarming: true,
  },
  token_reuse: {
    why: 'A key of this session was used twice, as happens when it was copied. So it was ended.',
    next: 'Sign in again. Check the device for programs that you do not know.',
    alarming: true,
  },
  account_switch: { why: 'Somebody else signed in here.', next: 'Sign in again in the app to come back.' },
  app_uninstall: { why: 'The app was removed.', next: 'Install it and sign in again whenever you like.' },
  session_timeout: {
    why: 'The session was not used for a long time, or had become too old.',
    next: 'Sign in again in the app.',
  },
  admin_forced: {
    why: 'An administrator ended the session.',
    next: 'Sign in again. If that does not work, ask whoever runs this service.',
  },
  upstream_logout: {
    why: 'You were logged out where your account comes from.',
    next: 'Sign in again there, then in the app.',
  },
}

const UNKNOWN = { why: 'The session was ended.', next: 'Sign in again in the app.', alarming: true } as const

/** The reasons that it has words for. */
export const TOLD_REASONS = Object.keys(TOLD)

export interface EndedPageOptions {
  issuerName: string
  reason: string
  /** In ms. */
  at: number
  code: string
  /** For the person alone, once they are signed in here. */
  personal?: { email: string; app: string; device?: string; address?: string }
}

/** Why somebody was signed out. Before they sign in it names nobody and nothing of theirs. */
export function endedPage({ issuerName, reason, at, code, personal }: EndedPageOptions): Promise<string> {
  const { why, next, alarming } = TOLD[reason] ?? UNKNOWN
  const body = html`<section class="card">
<div class="ended" aria-hidden="true"></div>
<h1>You were signed out</h1>
<p class="lead">${why}</p>
<dl class="facts">
<div><dt>When</dt><dd><time datetime="${new Date(at).toISOString()}">${utc(at)}</time></dd></div>
${personal ? personalFacts(personal) : ''}</dl>
<h2>What to do next</h2>
<p>${next}</p>
${alarming ? alarm(code, personal !== undefined) : ''}
<p class="hint"><a href="/devices">See where you are signed in</a></p>
</section>`
  return page({ title: 'You were signed out', body, issuerName })
}

function personalFacts({ email, app, device, address }: NonNullable<EndedPageOptions['personal']>): Markup {
  return html`<div><dt>Account</dt><dd>${given(email)}</dd></div>
<div><dt>App</dt><dd>${given(app)}</dd></div>
${device ? html`<div><dt>Device</dt><dd>${given(device)}</dd></div>` : ''}
${address ? html`<div><dt>Ended from</dt><dd>${address}</dd></div>` : ''}
`
}

/** Whoever says that it was not them has to be them. */
function alarm(code: string, known: boolean): Markup {
  if (!known)
    return html`<form method="get" action="/signed-out/sign-in" class="stack">
<input type="hidden" name="code" value="${code}">
<button type="submit" class="secondary">This wasn’t me</button>
</form>
<p class="hint">You are asked to sign in first. If you can’t, <a href="/forgot">set a new password</a>.</p>`
  return html`<form method="post" action="/signed-out/not-me" class="stack">
<input type="hidden" name="code" value="${code}">
<button type="submit" class="primary">This wasn’t me: sign out everywhere</button>
</form>
<p class="hint">Everything that is signed in to your account ends, and its password opens nothing until you set a new one through the link that we mail you.</p>`
}

/** Of a code that says nothing (any more). */
export function endedLongAgoPage({ issuerName }: { issuerName: string }): Promise<string> {
  const body = html`<section class="card">
<h1>You were signed out</h1>
<p class="lead">Why is not told here any more: this address was good for a quarter of an hour.</p>
<p>Sign in again in the app. What has ended lately, and why, is on the page of <a href="/devices">your devices</a>.</p>
</section>`
  return page({ title: 'You were signed out', body, issuerName })
}
