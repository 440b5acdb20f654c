import { html } from 'hono/html'
import { given, type Markup, page, waysOn } from './layout.ts'
import { time } from './reasons.ts'

/**
 * Why, as the page says it, without naming anybody; what to do next; and whether it may have been somebody else’s doing.
 */
const TOLD: Record<string, { why: string; next: string; doubtful?: true }> = {
  user_logout: {
    why: 'You logged out.',
    next: 'Sign in again in the app whenever you like.',
    doubtful: true,
  },
  device_removed: {
    why: 'This device was logged out from another one.',
    next: 'If that was you, sign in again in the app.',
    doubtful: true,
  },
  password_change: {
    why: 'The password of the account was changed, which ends every other session.',
    next: 'Sign in again with the new password.',
    doubtful: true,
  },
  account_compromise: {
    why: 'The account was reported as taken over, so everything was signed out.',
    next: 'Set a new password through the link that was mailed, then sign in again.',
  },
  suspicious_activity: {
    why: 'Something unusual was seen in this session, so it was ended.',
    next: 'Sign in again. If you use the same password elsewhere, set a new one.',
    doubtful: true,
  },
  token_reuse: {
    why: 'A key of this session was used twice, as happens when it was copied. So it was ended.',
    next: 'Sign in again. Check the device for programs that you do not know.',
    doubtful: true,
  },
  account_switch: {
    why: 'Somebody else signed in here.',
    next: 'Sign in again in the app to come back.',
    doubtful: true,
  },
  app_uninstall: {
    why: 'The app was removed.',
    next: 'Install it and sign in again whenever you like.',
    doubtful: true,
  },
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

const UNKNOWN = { why: 'The session was ended.', next: 'Sign in again in the app.', doubtful: true } as const

/** The reasons that it has words for. */
export const TOLD_REASONS = Object.keys(TOLD)

export interface EndedPageOptions {
  issuerName: string
  reason: string
  /** In ms. */
  at: number
  code: string
  /** For the person alone, once they are signed in here. */
  personal?: { email: string; app: string; device?: string; openedAt: number; address?: string }
  /** The account that is signed in here, when it is not the one whose session ended. */
  stranger?: string
}

/** Why somebody was signed out. Before they sign in it names nobody and nothing of theirs. */
export function endedPage(options: EndedPageOptions): Promise<string> {
  const { issuerName, reason, at, code, personal, stranger } = options
  const { why, next, doubtful } = TOLD[reason] ?? UNKNOWN
  const body = html`<section class="card">
<div class="ended" aria-hidden="true"></div>
<h1>You were signed out</h1>
<p class="lead">${why}</p>
<dl class="facts">
<div><dt>When</dt><dd>${time(at)}</dd></div>
${personal ? personalFacts(personal) : ''}</dl>
<h2>What to do next</h2>
<p>${next}</p>
${stranger ? html`<p class="notice">${given(stranger)} is signed in in this browser, which is another account than the one that was signed out.</p>` : ''}
${doubtful ? doubt(code, personal !== undefined) : ''}
${waysOn([
  ['/devices', 'See where you are signed in'],
  ['/forgot', 'Set a new password'],
])}
</section>`
  return page({ title: 'You were signed out', body, issuerName })
}

function personalFacts({
  email,
  app,
  device,
  openedAt,
  address,
}: NonNullable<EndedPageOptions['personal']>): Markup {
  return html`<div><dt>Account</dt><dd>${given(email)}</dd></div>
<div><dt>App</dt><dd>${given(app)}</dd></div>
${device ? html`<div><dt>Device</dt><dd>${given(device)}</dd></div>` : ''}
<div><dt>Signed in since</dt><dd>${time(openedAt)}</dd></div>
${address ? html`<div><dt>Ended from</dt><dd>${given(address)}</dd></div>` : ''}
`
}

/** Whoever says that it was not them has to be them. */
function doubt(code: string, known: boolean): Markup {
  if (!known)
    return html`<form method="get" action="/signed-out/sign-in" class="stack">
<input type="hidden" name="code" value="${code}">
<button type="submit" class="secondary">This wasn’t me</button>
</form>
<p class="hint">You are asked to sign in first. If you can’t, set a new password instead: that signs out everything, too.</p>`
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
<p>Sign in again in the app. What has ended lately, and why, is on the page of your devices.</p>
${waysOn([['/devices', 'Your devices']])}
</section>`
  return page({ title: 'You were signed out', body, issuerName })
}
