import type { ServerResponse } from 'node:http'
import type { Guard } from './guard.ts'
import type { GuardSession } from './judge.ts'

/** Lines of `data` stay lines of data; in `event` and `id` they become spaces. */
export type ServerSentEvent = { event?: string; data: string; id?: string }

export type EventStream = {
  /** Sends an event; after the end, nothing. A caller who has not read 1 MiB of what was sent is cut off. */
  send(event: ServerSentEvent): void
  close(): void
  /** Resolves when the stream is over, whoever ended it. */
  closed: Promise<void>
}

/** How far a caller may be behind, in bytes. */
const MOST_BEHIND = 1 << 20
/** What a caller may take to read the rest, in ms. */
const FAREWELL = 1_000

/**
 * Starts a stream of Server-Sent Events on a `node:http` response. When the session ends, its last event is
 * `session-ended` with `{"reason":…}`; when its tokens have expired and none was renewed, `token-expired`. A browser
 * then reconnects, is answered 401 and stops.
 */
export function eventStream(guard: Guard, session: GuardSession, res: ServerResponse): EventStream {
  const closed = new Promise<void>((resolve) => {
    if (res.destroyed) resolve()
    else res.once('close', resolve)
  })
  res.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  res.flushHeaders()
  const stream: EventStream = {
    send(event) {
      if (res.writableEnded || res.destroyed) return
      if (res.writableLength > MOST_BEHIND) res.destroy()
      else res.write(frameOf(event))
    },
    close() {
      res.end()
      setTimeout(() => res.destroy(), FAREWELL).unref()
    },
    closed,
  }
  const takeOff = guard.connections.add(session, (reason) => {
    const event = reason === 'token_expired' ? 'token-expired' : 'session-ended'
    stream.send({ event, data: JSON.stringify({ reason }) })
    stream.close()
  })
  closed.then(takeOff)
  return stream
}

function frameOf({ event, data, id }: ServerSentEvent): string {
  const line = (name: string, value: string) => `${name}: ${value.replace(/[\r\n\0]+/g, ' ')}\n`
  const names = (event === undefined ? '' : line('event', event)) + (id === undefined ? '' : line('id', id))
  const lines = data.split(/\r\n|\r|\n/).map((text) => `data: ${text}\n`)
  return `${names}${lines.join('')}\n`
}
