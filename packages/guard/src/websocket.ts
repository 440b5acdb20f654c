import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocket, WebSocketServer } from 'ws'
import { GuardError } from './errors.ts'
import type { Guard } from './guard.ts'
import { checkNodeRequest, type ProtectOptions, sendGuardError } from './http.ts'
import type { GuardSession } from './judge.ts'

/** As much of a WebSocket of `ws` as has to be there. */
export type ClosableSocket = {
  readonly readyState: number
  close(code: number, reason: string): void
  terminate(): void
  once(event: 'close', listener: () => void): unknown
  emit(event: string, ...args: unknown[]): boolean
}

const OPEN = 1
const CLOSED = 3
/** What a peer may take to answer the close, in ms. */
const FAREWELL = 1_000
/** What a close frame has room for, in bytes (RFC 6455 §5.5). */
const MOST = 123

/**
 * Closes a WebSocket of `ws` when its session ends: code 4401, with the reason. From then on none of its messages is
 * heard, and after a second it is cut off. Nothing is left behind when it closes by itself.
 */
export function closeWithSession(guard: Guard, session: GuardSession, socket: ClosableSocket): void {
  const takeOff = guard.connections.add(session, (reason) => {
    // Whoever listens, and whoever begins to.
    const { emit } = socket
    socket.emit = (event, ...args) => event !== 'message' && emit.call(socket, event, ...args)
    const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(MOST))
    socket.close(4401, reason.slice(0, read))
    const timer = setTimeout(() => socket.terminate(), FAREWELL)
    socket.once('close', () => clearTimeout(timer))
  })
  if (socket.readyState === CLOSED) takeOff()
  else socket.once('close', takeOff)
}

/**
 * Puts a guard in front of a WebSocketServer of `ws` that was made with `noServer`.
 * @param handler gets each socket with its live session; the socket closes when the session ends
 * @param options what the handshake needs, and where the token is; `onError` hears what went wrong otherwise, which
 * cuts the connection off
 * @returns a listener for `upgrade` of a `node:http` server. A refusal is answered as HTTP: 401 (RFC 6750 §3,
 * RFC 9470 §3), 403 or 503. The server emits `connection` too, with the socket, the request and the session.
 */
export function guardUpgrade(
  guard: Guard,
  server: WebSocketServer,
  handler: (socket: WebSocket, session: GuardSession, req: IncomingMessage) => unknown,
  options: ProtectOptions & { onError?: (error: unknown) => void } = {},
) {
  return async (req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const fail = (error: unknown) => {
      socket.destroy()
      options.onError?.(error)
    }
    // Nobody else listens until the handshake; a caller who resets the connection must not end the process.
    const hangUp = () => socket.destroy()
    socket.on('error', hangUp)
    try {
      const session = await checkNodeRequest(guard, req, socket, options)
      socket.off('error', hangUp)
      server.handleUpgrade(req, socket, head, (opened) => {
        // It closes by itself when its peer sends nonsense.
        opened.on('error', () => {})
        closeWithSession(guard, session, opened)
        // The session ended before the handshake did.
        if (opened.readyState !== OPEN) return
        const handle = async () => {
          server.emit('connection', opened, req, session)
          await handler(opened, session, req)
        }
        handle().catch(fail)
      })
    } catch (error) {
      if (error instanceof GuardError) refuse(req, socket, error)
      else fail(error)
    }
  }
}

function refuse(req: IncomingMessage, socket: Duplex, error: GuardError) {
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket as Socket)
  res.once('finish', () => socket.end(() => socket.destroy()))
  sendGuardError(res, error)
}
