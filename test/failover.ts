import { connect, createServer, type Socket } from 'node:net'

export type Failover = {
  port: number
  /** What came of connections that a process did not take, by the code of the error. */
  refused: Record<string, number>
  stop(): Promise<void>
}

/** A load balancer in front of processes that come and go: who is refused by one is brought to the next, once. */
export async function startFailover(targets: number[], port = 0): Promise<Failover> {
  const open = new Set<Socket>()
  const refused: Record<string, number> = {}
  let turn = 0

  function bring(near: Socket, first: number, tries: number) {
    const far = connect(targets[(first + tries) % targets.length] as number, '127.0.0.1')
    open.add(far)
    far.on('close', () => open.delete(far))
    let connected = false
    far.once('connect', () => {
      connected = true
      near.pipe(far).pipe(near)
    })
    far.on('error', (error: NodeJS.ErrnoException) => {
      if (connected) return near.destroy()
      refused[`${error.code}`] = (refused[`${error.code}`] ?? 0) + 1
      if (tries + 1 < targets.length) bring(near, first, tries + 1)
      else near.destroy()
    })
    near.on('error', () => far.destroy())
    near.on('close', () => far.destroy())
  }
  const server = createServer((near) => {
    open.add(near)
    near.on('close', () => open.delete(near))
    bring(near, turn++, 0)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    refused,
    stop() {
      for (const socket of open) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
