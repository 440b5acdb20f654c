import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { MAX_FRAME, readAck, readReport } from '@rescind/guard/protocol'
import type { WebSocket } from 'ws'

/** A guard that lets this many bytes pile up is dropped; it comes back and resumes. */
const MAX_BEHIND = 1024 * 1024
/** A guard that takes longer than this for one frame of its backlog, in ms, is dropped. */
const STALL = 30_000
/** More messages between two heartbeats than any guard has reason to send. */
const MAX_MESSAGES = 20_000
/** When it could not be said that a guard has everything, that is tried again after so long, in ms. */
const ANSWER_AGAIN = 200
/** A report is as much work as so many acknowledgements. */
const REPORT_COUNTS = 100

/** One guard that is connected. */
export type ConnectedGuard = {
  readonly id: string
  readonly address: string
  readonly agent: string
  /** When it connected, in ms. */
  readonly since: number
  /** It has everything that came before, and gets what comes. */
  live: boolean
  /** It is about to have everything: what is published meanwhile. */
  held?: { frames: Buffer[]; bytes: number }
  /** It has applied everything up to here. */
  acknowledged: number
  /** When it was heard, on the clock of `performance.now()`. */
  heardAt: number
  /** What it sent since the last heartbeat. */
  messages: number
  /** Who waits until it has applied a revocation, or is gone. */
  waiters: Set<{ seq: number; done: () => void }>
  readonly socket: WebSocket
  /** The connection under it, which takes frames that are made once for many guards. */
  readonly wire: Duplex
}

/**
 * Listens to a guard's acknowledgements and reports; whatever else it says ends the connection.
 * @param options.now the time in ms
 * @param options.newest the newest revocation that any guard can have
 * @param options.caughtUp resolves once everything that was revoked by then was sent
 * @param options.onAcknowledged hears of each acknowledgement that is new
 * @param options.onSeen hears of each report
 */
export function openGuardSocket(
  socket: WebSocket,
  wire: Duplex,
  options: {
    address: string
    agent: string
    now: number
    newest: () => number
    caughtUp: () => Promise<void>
    onAcknowledged: (seq: number, guard: string) => void
    onSeen: (sids: string[]) => void
    onClose: (guard: ConnectedGuard) => void
  },
): ConnectedGuard {
  const { address, agent, now, newest, onAcknowledged, onSeen, onClose } = options
  const guard: ConnectedGuard = {
    ...{ id: randomBytes(6).toString('base64url'), address, agent, since: now, live: false },
    ...{ acknowledged: 0, heardAt: performance.now(), messages: 0, waiters: new Set() },
    ...{ socket, wire },
  }
  socket.on('message', (data, binary) => {
    const text = binary ? '' : data.toString()
    const seen = readReport(text)
    if (seen) guard.messages += REPORT_COUNTS
    const seq = seen ? 0 : readAck(text)
    if (seq === undefined || seq > newest() || ++guard.messages > MAX_MESSAGES) {
      return dropGuard(guard, 1008, 'that is no acknowledgement')
    }
    guard.heardAt = performance.now()
    if (seen) return onSeen(seen)
    if (seq <= guard.acknowledged) return
    guard.acknowledged = seq
    onAcknowledged(seq, guard.id)
    settle(guard, seq)
  })
  const answer = createAnswering(socket, options.caughtUp)
  socket.on('ping', (data) => {
    if (++guard.messages > MAX_MESSAGES) return dropGuard(guard, 1008, 'that is no acknowledgement')
    answer(data)
  })
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    onClose(guard)
    settle(guard, Infinity)
  })
  return guard
}

/**
 * A pong says: you have all that was revoked before you asked. A guard asks once and waits, so what can’t be said now is said as
 * soon as it can be; of several questions the newest.
 */
function createAnswering(socket: WebSocket, caughtUp: () => Promise<void>) {
  let asked: Buffer | undefined
  async function answerAll() {
    while (asked && socket.readyState === socket.OPEN) {
      const data = asked
      try {
        await caughtUp()
        socket.pong(data)
        if (asked === data) asked = undefined
      } catch {
        await pause(ANSWER_AGAIN, undefined, { ref: false })
      }
    }
  }
  return (data: Buffer) => {
    const answering = asked !== undefined
    asked = data
    if (!answering) void answerAll()
  }
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
  guard.held = undefined
  guard.socket.close(code, why)
  setTimeout(() => guard.socket.terminate(), 1_000).unref()
}

/** Sends to a guard that keeps up; one that doesn't is dropped, so that it slows nobody. */
export function sendLive(guard: ConnectedGuard, frame: Buffer): void {
  if (!guard.live) return void hold(guard, frame)
  if (guard.wire.writableLength > MAX_BEHIND) dropGuard(guard, 1013, 'fell behind; resume')
  else guard.wire.write(frame)
}

function hold(guard: ConnectedGuard, frame: Buffer) {
  if (!guard.held) return
  guard.held.frames.push(frame)
  guard.held.bytes += frame.length
  if (guard.held.bytes > MAX_BEHIND) dropGuard(guard, 1013, 'fell behind; resume')
}

/** From now on it gets what comes, after what was held for it; it is told so first. */
export function goLive(guard: ConnectedGuard, ready: Buffer): void {
  const held = guard.held?.frames ?? []
  guard.held = undefined
  guard.live = true
  for (const frame of [ready, ...held]) sendLive(guard, frame)
}

/** Resolves when the other side has taken a frame. @throws when it doesn't in time, or is gone */
export function sendAndWait({ wire }: ConnectedGuard, frame: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stalled = setTimeout(() => reject(new Error('the guard reads too slowly')), STALL)
    wire.write(frame, (error) => {
      clearTimeout(stalled)
      if (error) reject(error)
      else resolve()
    })
  })
}

/**
 * A text frame as a server sends it (RFC 6455 §5.2: not masked). Made once for all guards of a group: making it anew for each of
 * a thousand costs more than sending it.
 */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(head + length)
  frame[0] = 0x81
  if (head === 2) frame[1] = length
  else if (head === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  frame.write(text, head)
  return frame
}

/** Puts lines together to frames that the other side takes. */
export function* framesOf(lines: string[]): Generator<Buffer> {
  let some: string[] = []
  let length = 0
  for (const line of lines) {
    if (some.length > 0 && length + line.length > MAX_FRAME) {
      yield textFrame(some.join('\n'))
      some = []
      length = 0
    }
    some.push(line)
    length += line.length + 1
  }
  if (some.length > 0) yield textFrame(some.join('\n'))
}
