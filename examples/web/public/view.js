// Everything that is drawn. Data reaches the page as text only.

const find = (id) => document.getElementById(id)

export const buttons = {
  signIn: find('sign-in'),
  again: find('sign-in-again'),
  call: find('call'),
  refresh: find('refresh'),
  logOut: find('log-out'),
}

export function showWelcome(problem) {
  find('welcome').hidden = false
  find('session').hidden = true
  find('busy').hidden = true
  find('problem').hidden = !problem
  find('problem').textContent = problem ?? ''
}

export function showBusy(text) {
  find('busy').hidden = false
  find('busy').textContent = text
}

export function showSession() {
  find('welcome').hidden = true
  find('busy').hidden = true
  find('session').hidden = false
}

/** @param {{ who: string, sid: string, jti: string, expires?: number }} facts */
export function showFacts({ who, sid, jti, expires }) {
  setText('who', who)
  setText('sid', sid)
  setText('jti', jti)
  if (expires === undefined) return setText('expires', 'not said')
  const seconds = Math.round(expires - Date.now() / 1000)
  setText('expires', seconds > 0 ? `in ${Math.floor(seconds / 60)} min ${seconds % 60} s` : 'expired')
}

const words = {
  live: ['Live', 'The API accepts the token.'],
  dead: ['Dead', 'The API refuses the token.'],
  failed: ['Unknown', 'The API gave no usable answer.'],
}
const stripLength = 60

/** The big word changes only when the state does, so that a screen reader hears changes and not each second. */
export function showCall(result) {
  const [word, meaning] = words[result.kind]
  find('status').dataset.kind = result.kind
  setText('status-word', word)
  setText('status-meaning', meaning)
  setText('status-code', describe(result))
  setText('status-ms', milliseconds(result.ms))
  const cell = document.createElement('span')
  cell.className = result.kind
  const strip = find('strip')
  strip.append(cell)
  while (strip.childElementCount > stripLength) strip.firstElementChild.remove()
}

export function describe({ kind, status, code }) {
  return kind === 'live' ? String(status) : [status, code].filter(Boolean).join(' ')
}

/** @param {'open' | 'closed' | 'waiting'} state */
export function showStream(state, text) {
  find('stream-state').dataset.state = state
  setText('stream-state', text)
}

export function addEvent({ type, data }) {
  prepend('events', 12, [span('time', clock()), span('type', type), span('what', data.slice(0, 500))])
}

/** @param {'good' | 'bad' | 'plain'} tone */
export function log(text, { ms, tone = 'plain' } = {}) {
  const parts = [span('time', clock()), span('what', text)]
  if (ms !== undefined) parts.push(span('ms', milliseconds(ms)))
  prepend('log', 200, parts).className = tone
}

const measured = ['answered', 'refused', 'closed']

export function showMeasures() {
  for (const name of measured) setMeasure(name, 'waiting…')
  find('measures').hidden = false
  for (const name of measured) find(`${name}-row`).classList.remove('known')
}

export function hideMeasures() {
  find('measures').hidden = true
}

/** @param {'answered' | 'refused' | 'closed'} name */
export function setMeasure(name, value) {
  const known = typeof value === 'number'
  setText(name, known ? milliseconds(value) : value)
  find(`${name}-row`).classList.toggle('known', known)
}

/** After a log-out the old tokens can still be tried, on purpose; they can't be logged out twice from here. */
export function showEnded(ended) {
  buttons.logOut.hidden = ended
  buttons.again.hidden = !ended
  find('after').hidden = !ended
}

export function milliseconds(ms) {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

function clock() {
  const now = new Date()
  const part = (number, length = 2) => String(number).padStart(length, '0')
  return `${part(now.getHours())}:${part(now.getMinutes())}:${part(now.getSeconds())}.${part(now.getMilliseconds(), 3)}`
}

function setText(id, text) {
  const element = find(id)
  if (element.textContent !== text) element.textContent = text
}

function span(className, text) {
  const element = document.createElement('span')
  element.className = className
  element.textContent = text
  return element
}

function prepend(id, most, parts) {
  const item = document.createElement('li')
  for (const part of parts) item.append(part, ' ')
  const list = find(id)
  list.prepend(item)
  while (list.childElementCount > most) list.lastElementChild.remove()
  return item
}
