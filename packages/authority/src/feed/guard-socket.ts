import { randomBytes } from 'node:crypto'
import { MAX_FRAME, readAck } from '@rescind/guard/protocol'
import type { WebSocket } from 'ws'

/** A guard that lets this many bytes pile up is dropped; it comes back and resumes. */
const MAX_BEHIND = 1024 * 1024
/** A guard that takes longer than this for one frame of its backlog, in ms, is dropped. */
const STALL = 30_000
/** More messages between two heartbeats than any guard has reason to send. */
const MAX_MESSAGES = 20_000

/** One guard that is connected. */
export type ConnectedGuard = {
  readonly id: string
  readonly address: string
  readonly agent: string
  /** When it connected, in ms. */
  readonly since: number
  /** It has everything that came before, and gets what comes. */
  live: boolean
  /** It has applied everything up to here. */
  acknowledged: number
  /** When it was heard, on the clock of `performance.now()`. */
  heardAt: number
  /** What it sent since the last heartbeat. */
  messages: number
  /** Who waits until it has applied a revocation, or is gone. */
  waiters: Set<{ seq: number; done: () => void }>
  readonly socket: WebSocket
}

/**
 * Listens to a guard's acknowledgements; whatever else it says ends the connection.
 * @param options.since what the guard has already
 * @param options.now the time in ms
 * @param options.newest the newest revocation that any guard can have
 * @param options.onAcknowledged hears of each acknowledgement that is new
 */
export function openGuardSocket(
  socket: WebSocket,
  options: {
    address: string
    agent: string
    since: number
    now: number
    newest: () => number
    onAcknowledged: (seq: number) => void
    onClose: (guard: ConnectedGuard) => void
  },
): ConnectedGuard {
  const { address, agent, since, now, newest, onAcknowledged, onClose } = options
  const guard: ConnectedGuard = {
    ...{ id: randomBytes(6).toString('base64url'), address, agent, since: now, live: false },
    ...{ acknowledged: since, heardAt: performance.now(), messages: 0, waiters: new Set(), socket },
  }
  socket.on('message', (data, binary) => {
    const seq = binary ? undefined : readAck(data.toString())
    if (seq === undefined || seq > newest() || ++guard.messages > MAX_MESSAGES) {
      return dropGuard(guard, 1008, 'that is no acknowledgement')
    }
    guard.heardAt = performance.now()
    if (seq <= guard.acknowledged) return
    guard.acknowledged = seq
    onAcknowledged(seq)
    settle(guard, seq)
  })
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    onClose(guard)
    settle(guard, Infinity)
  })
  return guard
}

function settle({ waiters }: ConnectedGuard, acknowledged: number) {
  for (const waiter of waiters) {
    if (waiter.seq > acknowledged) continue
    waiters.delete(waiter)
    waiter.done()
  }
}

/** Ends a connection; the guard comes back and resumes from what it has. */
export function dropGuard(guard: ConnectedGuard, code: number, why: string): void {
  guard.live = false
  guard.socket.close(code, why)
  setTimeout(() => guard.socket.terminate(), 1_000).unref()
}

/** Sends to a guard that keeps up; one that doesn't is dropped, so that it slows nobody. */
export function sendLive(guard: ConnectedGuard, frame: string): void {
  if (!guard.live) return
  if (guard.socket.bufferedAmount > MAX_BEHIND) dropGuard(guard, 1013, 'fell behind; resume')
  else guard.socket.send(frame)
}

/** Resolves when the other side has taken a frame. @throws when it doesn't in time, or is gone */
export function sendAndWait({ socket }: ConnectedGuard, frame: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const stalled = setTimeout(() => reject(new Error('the guard reads too slowly')), STALL)
    socket.send(frame, (error) => {
      clearTimeout(stalled)
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Puts lines together to frames that the other side takes. */
export function* framesOf(lines: string[]): Generator<string> {
  let frame: string[] = []
  let length = 0
  for (const line of lines) {
    if (frame.length > 0 && length + line.length > MAX_FRAME) {
      yield frame.join('\n')
      frame = []
      length = 0
    }
    frame.push(line)
    length += line.length + 1
  }
  if (frame.length > 0) yield frame.join('\n')
}
