import { html } from 'hono/html'
import { plain } from '../plain.ts'
import { type Markup, page, waysOn } from './layout.ts'

export interface CodePageOptions {
  issuerName: string
  code?: string
  state?: string
  iss?: string
  error?: string
  errorDescription?: string
}

/** Where an agent's sign-in ends when it can't listen for the answer: the person carries it back. */
export function codePage(options: CodePageOptions): Promise<string> {
  const { issuerName, code, error, errorDescription } = options
  if (error !== undefined || !code) return failed(issuerName, error ?? '', errorDescription)
  const { state, iss } = options
  const line = JSON.stringify({ code, state, iss })
  const body = html`<section class="card">
<h1>One step left</h1>
<p class="lead">You allowed it. Now copy this line and give it to your agent, which then finishes signing in.</p>
<div class="field">
<label for="answer">Line for your agent</label>
<textarea id="answer" readonly rows="5" spellcheck="false" autocomplete="off" autofocus aria-describedby="answer-hint">
${line}</textarea>
<p class="hint" id="answer-hint">Click or tap in it and select all (Ctrl+A or ⌘A), then copy. It works once, within a few minutes, and only for the agent that asked.</p>
</div>
<details>
<summary>Your agent asks for the parts one by one?</summary>
<div class="stack">
${part('code', 'Code', code)}
${state === undefined ? '' : part('state', 'State', state)}
${iss === undefined ? '' : part('iss', 'Issuer', iss)}
</div>
</details>
<p class="notice">If you did not start this from an agent of yours, close this page and give the line to nobody.</p>
${waysOn([['/devices', 'Your devices']])}
</section>`
  return page({ title: 'Copy this to your agent', body, issuerName })
}

function part(id: string, label: string, value: string): Markup {
  return html`<div class="field">
<label for="${id}">${label}</label>
<input id="${id}" type="text" readonly spellcheck="false" autocomplete="off" value="${value}">
</div>`
}

const again = 'Go back to your agent and start again.'
const ours = { title: 'Something failed on our side', message: `You are not signed in. ${again}` }
const theirs = {
  title: 'The agent asked for something we can’t give',
  message: 'You are not signed in. Tell your agent what is written below.',
}
const unfinished = { title: 'Sign-in did not finish', message: `Your agent has no access. ${again}` }

const explanations = new Map([
  [
    'access_denied',
    {
      title: 'You did not allow it',
      message: `Your agent has no access. You can close this page. If you change your mind, start again from your agent.`,
    },
  ],
  ['server_error', ours],
  ['temporarily_unavailable', ours],
  ['invalid_request', theirs],
  ['invalid_scope', theirs],
  ['invalid_target', theirs],
  ['unauthorized_client', theirs],
  ['unsupported_response_type', theirs],
])

/** The description may have come with the address, so it is shown as a quotation, short, and never as our words. */
function failed(issuerName: string, error: string, description = ''): Promise<string> {
  const { title, message } = explanations.get(error) ?? unfinished
  const reported = [error.slice(0, 80), description.slice(0, 300)].filter(Boolean).join(': ')
  const body = html`<section class="card">
<h1>${title}</h1>
<p class="lead">${message}</p>
${reported && error !== 'access_denied' ? html`<h2>What was reported</h2>\n<p class="quoted"><bdi>${plain(reported, 400)}</bdi></p>` : ''}
${waysOn([['/devices', 'Your devices']])}
</section>`
  return page({ title, body, issuerName })
}
