// The other end of real connections: reads what the feed writes and acknowledges it, at as little cost as can be.
import { connect, type Socket } from 'node:net'
import { writeAck } from '../../packages/guard/src/protocol.ts'
import { ticks } from '../measure.ts'
import { serveCommands } from '../worker.ts'
import { clientOf } from './log.ts'
import { clientFrame } from './wire.ts'

type Far = { socket: Socket | undefined; seq: number; said: number }

/** As the simulated guards do. */
const ACKNOWLEDGE = 5
const PING_EVERY = 1_000
const SEQ = Buffer.from('"seq":')
/** Each so many-th connection is timed. */
const TIMED = 20
const TEXT = 1
const PING = clientFrame(9, '')

const all: Far[] = []
let bytes = 0
let arrivals: { seq: number; at: number }[] = []

function numberAfter(chunk: Buffer, at: number): number {
  return at < 0
    ? 0
    : Number.parseInt(chunk.toString('latin1', at + SEQ.length, at + SEQ.length + 12), 10) || 0
}

// What is read goes into one buffer for all: to make a new one for each read would cost more than reading.
const buffer = Buffer.allocUnsafe(1024 * 1024)

function openOne(port: number, api: number, n: number): Promise<void> {
  const far: Far = { socket: undefined, seq: 0, said: 0 }
  all.push(far)
  const headers = ['host: bench', 'connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13']
  const own = [`x-client: ${clientOf(api)}`, 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==']
  return new Promise((resolve) => {
    const callback = (length: number) => {
      const chunk = buffer.subarray(0, length)
      bytes += length
      // The answer to the handshake and `ready` come before anything that is measured.
      resolve()
      if (n % TIMED === 0) arrivals.push({ seq: numberAfter(chunk, chunk.indexOf(SEQ)), at: ticks() })
      far.seq = Math.max(far.seq, numberAfter(chunk, chunk.lastIndexOf(SEQ)))
      return true
    }
    const socket = connect({ port, host: '127.0.0.1', onread: { buffer, callback } })
    far.socket = socket
    socket.write(`GET /feed HTTP/1.1\r\n${[...headers, ...own].join('\r\n')}\r\n\r\n`)
    socket.on('error', () => socket.destroy())
  })
}

async function open({ port, count, apis }: { port: number; count: number; apis: number }) {
  const AT_ONCE = 200
  for (let n = 0; n < count; n += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - n) }, (_, i) => n + i)
    await Promise.all(some.map((one) => openOne(port, one % apis, one)))
  }
  setInterval(acknowledgeAll, ACKNOWLEDGE)
  setInterval(() => {
    for (const { socket } of all) socket?.write(PING)
  }, PING_EVERY)
}

function acknowledgeAll() {
  for (const far of all) {
    if (far.seq === far.said) continue
    far.said = far.seq
    far.socket?.write(clientFrame(TEXT, writeAck(far.seq)))
  }
}

let cpu = process.cpuUsage()

serveCommands({
  open,
  begin() {
    cpu = process.cpuUsage()
    bytes = 0
    arrivals = []
  },
  end() {
    const { user, system } = process.cpuUsage(cpu)
    return { bytes, arrivals, cpu: (user + system) / 1e6 }
  },
})

export type Drained = {
  bytes: number
  arrivals: { seq: number; at: number }[]
  cpu: number
}
