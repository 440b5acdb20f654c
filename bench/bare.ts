import { createServer, type Socket } from 'node:net'
import { acrossRuns, ticks } from './measure.ts'
import { startWorker } from './worker.ts'

/** As long as a revocation’s frame is. */
const BYTES = Buffer.alloc(220, 'x')
const RUNS = 3

/**
 * How long it takes here to write to so many TCP connections, each once, and until the other process has read them all: no
 * WebSocket, no JSON, no check, nothing durable. Whatever tells so many guards can’t be quicker.
 * @returns percentiles in ms, by share
 */
export async function bareSockets(count: number, each: number) {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.setNoDelay(true)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const worker = startWorker('bare-process.ts', [])
  try {
    await worker.ask({ do: 'start', port: (server.address() as { port: number }).port, count })
    const runs: number[][] = []
    for (let run = 0; run <= RUNS; run++) {
      const times: number[] = []
      for (let i = 0; i < each; i++) {
        await worker.ask({ do: 'arm' })
        const start = ticks()
        for (const socket of sockets) socket.write(BYTES)
        times.push(((await worker.ask<number>({ do: 'outcome' })) - start) / 1e6)
      }
      // The first one warms up.
      if (run > 0) runs.push(times)
    }
    return (share: number) => acrossRuns(runs, share)
  } finally {
    await worker.stop()
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}
