import { setTimeout as pause } from 'node:timers/promises'
import { GuardError } from './errors.ts'
import type { RevocationRecord, RevocationView } from './view.ts'

export type Credentials = { clientId: string; clientSecret: string }

const FIRST_WAIT = 100
const LONGEST_WAIT = 5_000
/** The authority is heard each second; a connection silent for this long is dead, whatever TCP believes. */
const SILENCE = 3_000
const MAX_LINE = 64 * 1024

/** `Authorization` for client credentials: form-encoded, then Basic (RFC 6749 §2.3.1). */
export function basic({ clientId, clientSecret }: Credentials): string {
  const encode = (part: string) => encodeURIComponent(part).replaceAll('%20', '+')
  return `Basic ${Buffer.from(`${encode(clientId)}:${encode(clientSecret)}`).toString('base64')}`
}

/**
 * Follows the authority's revocation feed into a view, for ever: reconnects with backoff and jitter, and resumes
 * after the last `seq` that was applied.
 * @param options.onReady all that can matter is in the view
 * @param options.onHeard a valid line came; what the view says was true then
 * @param options.onError why a connection ended: a line of another shape is never applied, it ends its connection
 * @param options.signal closes it, as `close()` does
 */
export function followFeed(options: {
  url: string
  credentials: Credentials
  view: RevocationView
  onReady(): void
  onHeard(): void
  onError?(error: Error): void
  fetch?: typeof globalThis.fetch
  signal?: AbortSignal
}): { close(): void } {
  const { url, credentials, view, onReady, onHeard, fetch = globalThis.fetch } = options
  const closing = new AbortController()
  const close = () => closing.abort()
  if (options.signal?.aborted) close()
  options.signal?.addEventListener('abort', close, { once: true })
  // Only what a complete answer has brought may be resumed from: half a backlog is no ground to stand on.
  let resumeAfter: number | undefined

  async function connectOnce(heard: () => void): Promise<never> {
    const silence = new AbortController()
    let timer = setTimeout(() => silence.abort(new Error('the feed went silent')), SILENCE)
    try {
      const response = await fetch(resumeAfter === undefined ? url : `${url}?since=${resumeAfter}`, {
        headers: { authorization: basic(credentials), accept: 'application/x-ndjson' },
        redirect: 'error',
        signal: AbortSignal.any([closing.signal, silence.signal]),
      })
      if (response.status === 401 || response.status === 403) throw refusedBy(url)
      if (response.status !== 200 || !response.body) throw new Error(`the feed answered ${response.status}`)
      let ready = false
      for await (const line of lines(response.body)) {
        const message = readMessage(line)
        clearTimeout(timer)
        timer = setTimeout(() => silence.abort(new Error('the feed went silent')), SILENCE)
        if (message.type === 'revocation') view.apply(message.record)
        if (message.type === 'ready') {
          if (message.seq < (resumeAfter ?? 0)) {
            // Another log than the one we followed, restored or swapped: our place in it means nothing.
            resumeAfter = undefined
            throw new Error('the feed is behind what it said before; reading it from the start')
          }
          ready = true
          heard()
          onReady()
        }
        if (!ready) continue
        resumeAfter = Math.max(resumeAfter ?? 0, message.seq)
        onHeard()
      }
      throw new Error('the feed ended')
    } finally {
      clearTimeout(timer)
      silence.abort()
    }
  }

  void keepTrying(connectOnce, closing.signal, options.onError)
  return { close }
}

function refusedBy(url: string): GuardError {
  const mend = 'check `credentials` against the `resources` in the configuration of the authority'
  return new GuardError('CONFIGURATION', `${new URL(url).origin} does not know this API: ${mend}.`)
}

/** @param once tries, and calls `heard` when all is well, after which waiting starts small again */
async function keepTrying(
  once: (heard: () => void) => Promise<never>,
  closing: AbortSignal,
  onError?: (error: Error) => void,
) {
  let wait = FIRST_WAIT
  while (!closing.aborted) {
    try {
      await once(() => {
        wait = FIRST_WAIT
      })
    } catch (error) {
      if (closing.aborted) return
      try {
        onError?.(error as Error)
      } catch {
        // Whoever listens must not be able to stop the feed.
      }
    }
    await pause(wait * (0.5 + Math.random() / 2), undefined, { signal: closing }).catch(() => {})
    wait = Math.min(wait * 2, LONGEST_WAIT)
  }
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      yield rest.slice(0, end)
      rest = rest.slice(end + 1)
    }
    if (rest.length > MAX_LINE) throw new Error('a line of the feed is too long')
  }
}

type Message =
  | { type: 'ready' | 'heartbeat'; seq: number }
  | { type: 'revocation'; seq: number; record: RevocationRecord }

/** Reads one line, strictly; anything that is not of the protocol ends the connection. */
export function readMessage(line: string): Message {
  if (line.length > MAX_LINE) throw new Error('a line of the feed is too long')
  const message = JSON.parse(line) as Record<string, unknown> | null
  const { type, seq, at, sid, jti, exp, reason } = message ?? {}
  const whole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
  const text = (value: unknown): value is string =>
    typeof value === 'string' && value !== '' && value.length <= 256
  if (!whole(seq)) throw new Error('a message of the feed has no seq')
  if (type === 'ready' || type === 'heartbeat') return { type, seq }
  if (type !== 'revocation' || !whole(at) || !text(sid) || !whole(exp) || !text(reason)) {
    throw new Error('a message of the feed has another shape')
  }
  if (jti !== undefined && !text(jti)) throw new Error('a message of the feed has another shape')
  return { type, seq, record: { seq, at, sid, ...(jti === undefined ? {} : { jti }), exp, reason } }
}
