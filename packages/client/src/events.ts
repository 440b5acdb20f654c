import type { Ended } from './platform.ts'

/** What `/v1/events` says of a session that ended. */
export type SessionEvent = Omit<Ended, 'to'> & {
  sid?: string
  current: boolean
  device?: { id: string; name: string }
}

const FIRST_PAUSE = 1_000
const LONGEST_PAUSE = 60_000
/** The authority says something every 15 s, in ms. */
const SILENCE = 40_000

/**
 * Follows the event stream of the account until `signal` aborts. It is a notice: what was missed between two connections is not told.
 * @param open makes the request; who throws something with `code` has no session any more
 */
export async function followEvents(
  open: (signal: AbortSignal) => Promise<Response>,
  hear: (event: SessionEvent) => unknown,
  signal: AbortSignal,
): Promise<void> {
  let pause = FIRST_PAUSE
  const gone = new Promise((resolve) => signal.addEventListener('abort', resolve))
  while (!signal.aborted) {
    // A connection that a sleeping laptop has lost looks open for ever.
    const quiet = new AbortController()
    const stop = () => quiet.abort()
    let timer = setTimeout(stop, SILENCE)
    signal.addEventListener('abort', stop)
    try {
      const response = await open(quiet.signal)
      if (response.ok && response.body) {
        pause = FIRST_PAUSE
        for await (const { event, data } of read(response.body)) {
          clearTimeout(timer)
          timer = setTimeout(stop, SILENCE)
          if (event === 'session-ended') await hear(JSON.parse(data))
        }
      }
    } catch (error) {
      const { code } = error as { code?: unknown }
      if (code === 'SESSION_ENDED' || code === 'NOT_SIGNED_IN') return
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      quiet.abort()
    }
    const paused = new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)))
    await Promise.race([gone, paused])
    pause = Math.min(pause * 2, LONGEST_PAUSE)
  }
}

const MAX_EVENT = 64 * 1024

/** The blocks of an event stream (HTML §9.2), as our authority writes them; a comment is a block without data. */
async function* read(body: ReadableStream<Uint8Array>) {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done || text.length > MAX_EVENT) return
    text += decoder.decode(value, { stream: true })
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1]
      yield { event: field('event'), data: field('data') ?? '' }
    }
  }
}
