import { connect, createServer, type Socket } from 'node:net'

/** The wire between a guard and its authority, in a test’s hand. */
export type TcpProxy = {
  port: number
  /** Ends every connection; new ones are refused while `down`. */
  cut(down?: boolean): void
  /** Takes everything and passes nothing on, as a firewall that has forgotten the connection. */
  blackHole(): void
  /** Passes each piece on after so long, in ms, either way. */
  delay(ms: number): void
  /** As it was. What a black hole took is lost: its connections end. */
  mend(): void
  stop(): Promise<void>
}

export async function startTcpProxy(target: number, port = 0): Promise<TcpProxy> {
  const pairs = new Set<[Socket, Socket]>()
  let mode: 'open' | 'down' | 'black-hole' = 'open'
  let lag = 0

  const end = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
    pairs.clear()
  }
  function pass(from: Socket, to: Socket) {
    from.on('data', (bytes) => {
      if (mode === 'black-hole') return
      if (lag === 0) to.write(bytes)
      else setTimeout(() => to.writable && to.write(bytes), lag)
    })
    from.on('error', () => {})
    from.on('close', () => mode !== 'black-hole' && to.destroy())
  }
  const server = createServer((near) => {
    if (mode === 'down') return near.destroy()
    const far = connect(target, '127.0.0.1')
    pairs.add([near, far])
    pass(near, far)
    pass(far, near)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    port: (server.address() as { port: number }).port,
    cut(down = false) {
      mode = down ? 'down' : 'open'
      end()
    },
    blackHole() {
      mode = 'black-hole'
    },
    delay(ms) {
      lag = ms
    },
    mend() {
      if (mode === 'black-hole') end()
      mode = 'open'
      lag = 0
    },
    stop() {
      end()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
