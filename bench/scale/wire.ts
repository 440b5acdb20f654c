import { Duplex } from 'node:stream'

/*
 * The network, stubbed at the socket: a stream in place of a TCP connection. What the feed writes is counted and taken as
 * a guard takes it; what the guard says comes in as the masked frames of a WebSocket client (RFC 6455 §5.3).
 */

/** A guard at the other end of a wire. */
export type FarGuard = {
  readonly api: number
  /** The newest revocation that it has heard of. */
  seq: number
  /** The last frame that it took: it says up to where the guard has everything. */
  frame: Buffer | undefined
  /** Has yet to acknowledge what it took. */
  owes: boolean
  /** Reads nothing for now. */
  stopped: boolean
  /** A write that it has not taken. */
  untaken: (() => void) | undefined
  /** What it took and when, where somebody looks at it. */
  kept: { frame: Buffer; at: number }[] | undefined
  wire: Wire | undefined
}
export type Wire = Duplex & { guard: FarGuard; hear: (guard: FarGuard, frame: Buffer) => void }

function write(this: Wire, chunk: Buffer, _: string, done: () => void) {
  const take = () => {
    this.hear(this.guard, chunk)
    done()
  }
  if (this.guard.stopped) this.guard.untaken = take
  else take()
}

// Shared by all wires, so that what a wire takes is what its stream takes.
const OPTIONS = { read() {}, write: write as Duplex['_write'] }

export function createWire(guard: FarGuard, hear: Wire['hear']): Wire {
  return Object.assign(new Duplex(OPTIONS), { guard, hear })
}

/** What a frame of the authority's is about. */
export type Facts = { revocations: number; seq: number; heartbeat: boolean }

const REVOCATION = Buffer.from('{"type":"revocation"')
const HEARTBEAT = Buffer.from('{"type":"heartbeat"')
const SEQ = Buffer.from('"seq":')
const TEXT = 0x81

/** Where the text of a frame begins (RFC 6455 §5.2). */
export function textStart(frame: Buffer): number {
  const length = frame[1] ?? 0
  return length < 126 ? 2 : length === 126 ? 4 : 10
}

/** Reads frames; one that is written to many guards is read once. */
export function createFactsReader(): (frame: Buffer) => Facts | undefined {
  let last: Buffer | undefined
  let facts: Facts | undefined
  return (frame) => {
    if (frame === last) return facts
    last = frame
    facts = frame[0] === TEXT ? read(frame) : undefined
    return facts
  }
}

function read(frame: Buffer): Facts {
  const start = textStart(frame)
  const begins = (words: Buffer) => words.equals(frame.subarray(start, start + words.length))
  let revocations = 0
  if (begins(REVOCATION)) for (let at = start; at > 0; at = frame.indexOf(10, at) + 1) revocations++
  const at = frame.lastIndexOf(SEQ)
  const seq =
    at < 0 ? 0 : Number.parseInt(frame.toString('latin1', at + SEQ.length, at + SEQ.length + 16), 10)
  return { revocations, seq, heartbeat: begins(HEARTBEAT) }
}

/** A masked frame of a client, as its bytes come in. */
export function clientFrame(opcode: number, text: string): Buffer {
  const mask = [0x5a, 0x3c, 0x77, 0x11]
  const body = Buffer.from(text)
  for (let i = 0; i < body.length; i++) body[i] = (body[i] ?? 0) ^ (mask[i & 3] ?? 0)
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | body.length, ...mask]), body])
}
