// A small app that shows one thing: how long a token lives after its session was ended. Signed in, it calls the API
// each second and keeps a stream open. Logged out, it goes on trying the old token.

import { callNotes, readEvents } from './api.js'
import { beginSignIn, claimsOf, finishSignIn, Refusal, refresh, revoke } from './oauth.js'
import * as view from './view.js'

const second = 1_000
const burstPause = 5
const patience = 10 * second

/** The one session of this page, in memory only: a reload forgets it. */
let session
let config

start().catch((error) => view.showWelcome(error.message))

async function start() {
  const answer = location.pathname === '/callback' ? new URLSearchParams(location.search) : undefined
  // The code leaves the address bar and the history before anything else happens.
  if (answer) history.replaceState(null, '', '/')
  view.buttons.signIn.addEventListener('click', signIn)
  view.buttons.again.addEventListener('click', signIn)
  view.buttons.call.addEventListener('click', callNow)
  view.buttons.refresh.addEventListener('click', refreshNow)
  view.buttons.logOut.addEventListener('click', logOut)

  const response = await fetch('/config.json')
  config = await response.json()
  config.api = config.api.replace(/\/+$/, '')

  if (!answer) return view.showWelcome()
  view.showBusy('Signing in…')
  const { tokens, identity } = await finishSignIn(config, answer)
  session = {
    tokens,
    who: identity.email ?? identity.name ?? identity.sub,
    kind: undefined,
    stream: undefined,
  }
  view.showSession()
  view.showEnded(false)
  showFacts()
  view.log(`Signed in as ${session.who}`, { tone: 'good' })
  callEachSecond()
  keepStream()
}

async function signIn() {
  if (!config) return location.reload()
  await beginSignIn(config)
}

function showFacts() {
  const { sid, jti, exp } = claimsOf(session.tokens.accessToken)
  view.showFacts({ who: session.who, sid: sid ?? 'not said', jti: jti ?? 'not said', expires: exp })
}

async function callEachSecond() {
  for (;;) {
    const started = performance.now()
    await callOnce()
    showFacts()
    await sleep(Math.max(0, second - (performance.now() - started)))
  }
}

/** One call with the token of now, or with the old one. Only a change of state is worth a line in the log. */
async function callOnce() {
  const token = session.tokens.accessToken
  const result = await callNotes(config.api, token)
  // An answer about a token that has been replaced meanwhile says nothing about the one in hand.
  if (token !== session.tokens.accessToken) return result
  view.showCall(result)
  const { logout } = session
  if (logout && result.kind === 'dead' && logout.refused === undefined) {
    logout.refused = result.at - logout.clicked
    view.setMeasure('refused', logout.refused)
  }
  if (result.kind !== session.kind) {
    const tone = result.kind === 'live' ? 'good' : 'bad'
    const text = {
      live: 'The API accepts the token',
      dead: 'The API refuses the token',
      failed: 'The API failed',
    }
    view.log(`${text[result.kind]}: ${view.describe(result)}`, { ms: result.ms, tone })
    session.kind = result.kind
  }
  return result
}

async function callNow() {
  const result = await callOnce()
  view.log(`You called the API: ${view.describe(result)}`, {
    ms: result.ms,
    tone: result.kind === 'live' ? 'good' : 'bad',
  })
}

async function refreshNow() {
  const started = performance.now()
  await busy(async () => {
    try {
      session.tokens = await refresh(config, session.tokens)
      session.kind = undefined
      showFacts()
      view.log('Refreshed: a new access token and a new refresh token', {
        ms: performance.now() - started,
        tone: 'good',
      })
      keepStream()
    } catch (error) {
      view.log(`Refresh refused: ${explain(error)}`, { ms: performance.now() - started, tone: 'bad' })
    }
  })
}

async function logOut() {
  const logout = { clicked: performance.now(), refused: undefined, closed: undefined }
  const streamWasOpen = session.stream?.open === true
  session.logout = logout
  view.showMeasures()
  if (!streamWasOpen) view.setMeasure('closed', 'was not open')
  view.log('Log out: sending both tokens to be revoked')
  tryUntilRefused(logout)
  await busy(async () => {
    try {
      const { message } = await revoke(config, session.tokens)
      const ms = performance.now() - logout.clicked
      view.setMeasure('answered', ms)
      callOnce()
      view.log(`The authority answered: ${message}`, { ms, tone: 'good' })
      view.showEnded(true)
      view.buttons.again.focus()
      giveUpAfterPatience(logout, streamWasOpen)
    } catch (error) {
      const already = error instanceof Refusal && error.code === 'TOKEN_REVOKED'
      view.log(`Log-out refused: ${explain(error)}`, { ms: performance.now() - logout.clicked, tone: 'bad' })
      session.logout = undefined
      view.hideMeasures()
      view.showEnded(already)
    }
  })
}

/** Calls in quick succession from the click on, so that the first refusal is seen when it comes. */
async function tryUntilRefused(logout) {
  while (session.logout === logout && logout.refused === undefined) {
    if (performance.now() - logout.clicked > patience) return
    await callOnce()
    await sleep(burstPause)
  }
}

async function giveUpAfterPatience(logout, streamWasOpen) {
  await sleep(patience)
  if (session.logout !== logout) return
  if (logout.refused === undefined) view.setMeasure('refused', 'not within 10 s')
  if (streamWasOpen && logout.closed === undefined) view.setMeasure('closed', 'not within 10 s')
}

/** Keeps one stream open with the token in hand. A refusal ends the trying; a lost connection doesn't. */
async function keepStream() {
  if (session.stream) return
  session.stream = { open: false }
  for (;;) {
    view.showStream('waiting', 'Connecting…')
    const end = await readEvents(config.api, session.tokens.accessToken, undefined, {
      onOpen() {
        session.stream.open = true
        view.showStream('open', 'Open')
        view.log('The stream is open', { tone: 'good' })
      },
      onEvent: view.addEvent,
    })
    session.stream.open = false
    noteStreamEnd(end)
    if (end.status === 401 || end.status === 403) break
    await sleep(second)
  }
  session.stream = undefined
}

function noteStreamEnd({ opened, status, code, at }) {
  const { logout } = session
  const said = [status, code].filter(Boolean).join(' ')
  view.showStream('closed', opened ? 'Closed' : `Refused: ${said}`)
  if (!opened) return view.log(`The stream could not be opened: ${said}`, { tone: 'bad' })
  view.log(`The stream ended: ${said}`, { tone: 'bad' })
  if (logout && logout.closed === undefined) {
    logout.closed = at - logout.clicked
    view.setMeasure('closed', logout.closed)
  }
}

async function busy(work) {
  const { refresh: refreshButton, logOut: logOutButton } = view.buttons
  refreshButton.disabled = true
  logOutButton.disabled = true
  try {
    await work()
  } finally {
    refreshButton.disabled = false
    logOutButton.disabled = false
  }
}

function explain(error) {
  if (!(error instanceof Refusal)) return 'the authority could not be reached'
  return [error.status, error.code, error.message === error.code ? '' : `(${error.message})`]
    .filter(Boolean)
    .join(' ')
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
