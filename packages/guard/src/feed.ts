import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { acknowledgeSoon } from './acks.ts'
import { GuardError } from './errors.ts'
import {
  type FeedMessage,
  type Heartbeat,
  MAX_FRAME,
  type Position,
  type Progress,
  readMessage,
  writeAck,
  writeReports,
} from './protocol.ts'
import type { RevocationView } from './view.ts'

export type Credentials = { clientId: string; clientSecret: string }

const FIRST_WAIT = 100
const LONGEST_WAIT = 5_000
/** The authority is heard each second; a connection silent for this long is dead, whatever TCP believes. */
const SILENCE = 3_000
const HANDSHAKE = 5_000
/** `Authorization` for client credentials: form-encoded, then Basic (RFC 6749 §2.3.1). */
export function basic({ clientId, clientSecret }: Credentials): string {
  const encode = (part: string) => encodeURIComponent(part).replaceAll('%20', '+')
  return `Basic ${Buffer.from(`${encode(clientId)}:${encode(clientSecret)}`).toString('base64')}`
}

export type FeedOptions = {
  /** `ws:` or `wss:` */
  url: string
  credentials: Credentials
  /** The API whose revocations are followed. */
  audience: string
  view: RevocationView
  /** Reads the status lists into the view; gives the place in the log up to which they know everything. */
  load(): Promise<Position>
  onHeartbeat(heartbeat: Heartbeat): void
  /** Takes the sessions that are to be reported as seen. */
  takeSeen?(): string[]
  /** The authority is about to be asked for a sign of life. */
  onAsking(): void
  /** It gave one: the view has all that was revoked before it was asked. The first time, all that can matter. */
  onFresh(first: boolean): void
  /** All signing keys of the authority. */
  onKeys(kids: string[]): void
  /** Why a connection ended. */
  onError?(error: Error): void
}

/**
 * Follows the authority's revocation feed into a view, for ever: starts from the status lists, reconnects with backoff
 * and jitter, and resumes after the last `seq` up to which it has everything.
 */
export function followFeed(options: FeedOptions): { close(): void; seq(): number } {
  const closing = new AbortController()
  // Everything up to here is in the view; unknown at first, and when the log is another one.
  const place: Place = { has: undefined }

  async function connectOnce(heard: () => void): Promise<void> {
    place.has ??= await options.load()
    closing.signal.throwIfAborted()
    await follow(options, place, closing.signal, heard)
  }
  void keepTrying(connectOnce, closing.signal, options.onError)
  return { close: () => closing.abort(), seq: () => place.has?.seq ?? 0 }
}

type Place = { has: Position | undefined }

/** One connection, until it ends. @throws Error why it ended */
function follow(options: FeedOptions, place: Place, closing: AbortSignal, heard: () => void): Promise<void> {
  const { url, credentials } = options
  const { seq, tag } = place.has ?? { seq: 0, tag: '' }
  const socket = new WebSocket(seq > 0 ? `${url}?since=${seq}&tag=${tag}` : `${url}?since=0`, {
    headers: { authorization: basic(credentials) },
    handshakeTimeout: HANDSHAKE,
    maxPayload: MAX_FRAME * 4,
    perMessageDeflate: false,
    followRedirects: false,
  })
  const take = createReader(options, place, (heartbeat) => {
    heard()
    options.onHeartbeat(heartbeat)
    ask()
    for (const report of writeReports(options.takeSeen?.() ?? [])) socket.send(report)
  })
  let asking = false
  let fresh = false
  let ended = false
  /** What is heard may have been on the way for long; what answers a question is younger than the question. */
  const ask = () => {
    if (asking) return
    asking = true
    options.onAsking()
    socket.ping()
  }
  return new Promise((_, reject) => {
    const silence = setTimeout(() => end(new Error('the feed went silent')), SILENCE)
    const end = (error: Error) => {
      ended = true
      clearTimeout(silence)
      closing.removeEventListener('abort', stop)
      socket.terminate()
      reject(error)
    }
    const stop = () => end(new Error('the guard was closed'))
    const acknowledge = () => {
      if (socket.readyState === WebSocket.OPEN) socket.send(writeAck(place.has?.seq ?? 0))
    }
    closing.addEventListener('abort', stop, { once: true })
    socket.on('message', (data, binary) => {
      // What came in the same packet is still handed out after the end.
      if (ended) return
      try {
        if (binary) throw new Error('a message of the feed is not text')
        for (const line of data.toString('utf8').split('\n')) take(readMessage(line))
        silence.refresh()
        acknowledgeSoon(acknowledge)
      } catch (error) {
        end(error as Error)
      }
    })
    socket.on('pong', () => {
      if (!asking || ended) return
      asking = false
      options.onFresh(!fresh)
      fresh = true
    })
    socket.on('unexpected-response', (_, response) => {
      const status = response.statusCode
      end(status === 401 || status === 403 ? refusedBy(url) : new Error(`the feed answered ${status}`))
    })
    socket.on('error', end)
    socket.on('close', (code, reason) => end(new Error(`the feed ended: ${code} ${reason}`.trim())))
  })
}

/** Takes in the messages of one connection. @throws Error when it can't go on from where it is */
function createReader(
  { url, audience, view, onKeys }: FeedOptions,
  place: Place,
  onHeartbeat: (heartbeat: Heartbeat) => void,
): (message: FeedMessage) => void {
  let ready = false
  return (message) => {
    if (message.type === 'keys') return onKeys(message.kids)
    const has = place.has ?? { seq: 0, tag: '' }
    if (message.type === 'reload' || differs(message, has)) {
      // The log was cut off, or it is another one, restored or swapped: our place in it means nothing.
      place.has = undefined
      throw new Error('the log does not have what we followed; reading the status lists again')
    }
    // What it revokes is revoked, even when something before it is missing.
    if (message.type === 'revocation' || message.type === 'cut-off') view.apply(message)
    if (message.prev > has.seq) throw new Error('a revocation is missing; asking for it again')
    if (message.seq > has.seq) place.has = { seq: message.seq, tag: message.tag }
    if (message.type === 'ready') {
      if (!message.resources.includes(audience)) throw foreignAudience(url, audience, message.resources)
      ready = true
      onKeys(message.kids)
    }
    if (ready && (message.type === 'ready' || message.type === 'heartbeat')) onHeartbeat(message)
  }
}

/** Whether a message is of another log than the one that was followed up to `has`. */
function differs(message: Progress & { type: string }, has: Position): boolean {
  return message.seq === has.seq ? message.tag !== has.tag : message.type === 'ready' && message.seq < has.seq
}

function refusedBy(url: string): GuardError {
  const mend =
    'check its clientId and clientSecret against the `resources` in the configuration of the authority'
  return new GuardError('CONFIGURATION', `${new URL(url).host} does not take these \`credentials\`: ${mend}.`)
}

/** What is revoked for another API's tokens is no news of this one's: nothing dead would be noticed. */
function foreignAudience(url: string, audience: string, resources: string[]): GuardError {
  const known = resources.slice(0, 5).join(', ')
  const message = `\`audience\` is ${audience}, but these \`credentials\` are, at ${new URL(url).host}, those of ${known}.`
  return new GuardError('CONFIGURATION', message)
}

/** @param once tries, and calls `heard` when all is well, after which waiting starts small again */
async function keepTrying(
  once: (heard: () => void) => Promise<void>,
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
