// The two ways this app uses the API: a call, and a stream that stays open.

/**
 * One call. Never throws: what happened is the answer.
 * @returns {Promise<{ kind: 'live' | 'dead' | 'failed', status?: number, code: string, ms: number, at: number }>}
 */
export async function callNotes(api, accessToken) {
  const started = performance.now()
  try {
    const response = await fetch(`${api}/notes`, {
      headers: { authorization: `Bearer ${accessToken}` },
      cache: 'no-store',
      signal: AbortSignal.timeout(10_000),
    })
    const at = performance.now()
    const body = await response.json().catch(() => undefined)
    const kind = response.ok ? 'live' : response.status === 401 ? 'dead' : 'failed'
    return { kind, status: response.status, code: codeOf(response, body), ms: at - started, at }
  } catch (error) {
    const at = performance.now()
    const code = error.name === 'TimeoutError' ? 'no answer' : 'not reachable'
    return { kind: 'failed', code, ms: at - started, at }
  }
}

/**
 * Reads server-sent events with fetch, because EventSource can't send a token. Resolves when the stream has ended, with
 * how it ended.
 * @param {{ onOpen(): void, onEvent(event: { type: string, data: string }): void }} on
 * @returns {Promise<{ opened: boolean, status?: number, code: string, at: number }>}
 */
export async function readEvents(api, accessToken, signal, on) {
  let opened = false
  try {
    const response = await fetch(`${api}/events`, {
      headers: { authorization: `Bearer ${accessToken}`, accept: 'text/event-stream' },
      cache: 'no-store',
      signal,
    })
    if (!response.ok || !response.body) {
      const at = performance.now()
      const body = await response.json().catch(() => undefined)
      return { opened, status: response.status, code: codeOf(response, body), at }
    }
    opened = true
    on.onOpen()
    await parse(response.body, on.onEvent)
    return { opened, code: 'closed by the API', at: performance.now() }
  } catch {
    return { opened, code: opened ? 'cut off' : 'not reachable', at: performance.now() }
  }
}

const boundary = /\r\n\r\n|\n\n|\r\r/
const longest = 1_000_000

async function parse(body, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let waiting = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    waiting += value
    for (let match = boundary.exec(waiting); match; match = boundary.exec(waiting)) {
      const event = parseEvent(waiting.slice(0, match.index))
      waiting = waiting.slice(match.index + match[0].length)
      if (event) onEvent(event)
    }
    if (waiting.length > longest) throw new Error('An event without an end.')
  }
}

/** Comments (lines that begin with a colon) keep the connection warm and say nothing. */
function parseEvent(text) {
  let type = 'message'
  const data = []
  for (const line of text.split(/\r\n|\n|\r/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? []
    if (field === 'event') type = value
    if (field === 'data') data.push(value)
  }
  return data.length > 0 || type !== 'message' ? { type, data: data.join('\n') } : undefined
}

/** The API's own word for it, else what RFC 6750 says in the header, else the status. */
function codeOf(response, body) {
  const challenge = /error="([^"]+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1]
  const word = body?.code ?? body?.error ?? challenge
  return typeof word === 'string' ? word : response.statusText
}
