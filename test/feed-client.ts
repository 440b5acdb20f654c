import { WebSocket } from 'ws'
import { type FeedMessage, readMessage, writeAck } from '../packages/guard/src/protocol.ts'

/** A guard as a test needs one: it shows what it is sent, and acknowledges when it is told to. */
export type FeedClient = {
  socket: WebSocket
  messages: FeedMessage[]
  /** Resolves with the first message that fits, past or future; fails after ten seconds. */
  next<T extends FeedMessage['type']>(
    type: T,
    fits?: (message: Extract<FeedMessage, { type: T }>) => boolean,
  ): Promise<Extract<FeedMessage, { type: T }>>
  ack(seq: number): void
  /** Resolves with why the connection ended. */
  closed: Promise<{ code: number; reason: string }>
}

export type FeedCredentials = { clientId: string; clientSecret: string }

export function basicOf({ clientId, clientSecret }: FeedCredentials): string {
  return `Basic ${btoa(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`)}`
}

/** Connects; rejects with the HTTP status when the handshake is refused. */
export async function openFeed(
  issuer: string,
  credentials: FeedCredentials | undefined,
  options: { since?: string | number; tag?: string; headers?: Record<string, string> } = {},
): Promise<FeedClient> {
  const authorization = credentials && basicOf(credentials)
  const query = options.since === undefined ? '' : `?since=${options.since}&tag=${options.tag ?? ''}`
  const socket = new WebSocket(`${issuer.replace('http', 'ws')}/feed${query}`, {
    headers: { ...(authorization ? { authorization } : {}), ...options.headers },
  })
  const messages: FeedMessage[] = []
  const waiting = new Set<() => void>()
  socket.on('message', (data) => {
    for (const line of data.toString().split('\n')) messages.push(readMessage(line))
    for (const look of waiting) look()
  })
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  )
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve)
    socket.on('error', reject)
    socket.on('unexpected-response', (_, response) => reject(new Error(`refused: ${response.statusCode}`)))
  })
  return {
    socket,
    messages,
    closed,
    next(type, fits = () => true) {
      const { promise, resolve, reject } = Promise.withResolvers<never>()
      const timer = setTimeout(() => reject(new Error(`no ${type} came`)), 10_000)
      const look = () => {
        const found = messages.find((one) => one.type === type && fits(one as never))
        if (!found) return
        clearTimeout(timer)
        waiting.delete(look)
        resolve(found as never)
      }
      waiting.add(look)
      look()
      return promise
    },
    ack: (seq) => socket.send(writeAck(seq)),
  }
}
