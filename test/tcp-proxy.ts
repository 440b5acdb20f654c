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
  /**
   * Breaks each connection off at the piece that has this text in it, from here to there: before it is passed on, or when it was,
   * so that its answer is lost.
   */
  breakAt(text: string, passOn: boolean): void
  /** As it was. What a black hole took is lost: its connections end. */
  mend(): void
  /** From now on new connections go to this port. */
  aim(port: number): void
  stop(): Promise<void>
}

export async function startTcpProxy(target: number, port = 0): Promise<TcpProxy> {
  const pairs = new Set<[Socket, Socket]>()
  let mode: 'open' | 'down' | 'black-hole' = 'open'
  let lag = 0
  let weak: { text: string; passOn: boolean } | undefined
  let aimed = target

  const end = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
    pairs.clear()
  }
  function pass(from: Socket, to: Socket, toTarget: boolean) {
    // What comes later never overtakes, however the lag changes: a wire that does would be no TCP.
    const late: Buffer[] = []
    let parted = false
    from.on('data', (bytes: Buffer) => {
      if (weak && toTarget && bytes.includes(weak.text)) {
        parted = weak.passOn
        from.destroy()
        return parted ? to.end(bytes) : to.destroy()
      }
      if (mode === 'black-hole') return
      if (lag === 0 && late.length === 0) return void to.write(bytes)
      late.push(bytes)
      setTimeout(() => {
        const next = late.shift()
        if (next && to.writable) to.write(next)
      }, lag)
    })
    from.on('error', () => {})
    from.on('close', () => mode !== 'black-hole' && !parted && to.destroy())
  }
  const server = createServer((near) => {
    if (mode === 'down') return near.destroy()
    const far = connect(aimed, '127.0.0.1')
    pairs.add([near, far])
    pass(near, far, true)
    pass(far, near, false)
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
    breakAt(text, passOn) {
      weak = { text, passOn }
    },
    mend() {
      if (mode === 'black-hole') end()
      mode = 'open'
      lag = 0
      weak = undefined
    },
    aim(to) {
      aimed = to
    },
    stop() {
      end()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
