import { Session } from 'node:inspector/promises'
import type { Config } from './config.ts'
import { startAuthority } from './main.ts'

/** A connection that is kept is used once more within this time, in ms, or not by somebody who is in a hurry. */
const LINGER = 1_000

/** Loading leaves 15 MB of garbage that nothing else would collect in a process that nobody asks anything yet. */
async function collectGarbage() {
  const session = new Session()
  session.connect()
  await session.post('HeapProfiler.collectGarbage')
  session.disconnect()
}

/**
 * `rescind serve`: runs the authority until it is told to stop (SIGINT, SIGTERM); SIGHUP has it read its configuration again.
 * @throws what startAuthority throws
 */
export async function serve(read: () => Config): Promise<void> {
  const config = read()
  await collectGarbage()
  const running = await startAuthority(config)
  process.on('SIGHUP', () => void running.reload(read))
  let stopping = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, async () => {
      if (stopping) process.exit(1)
      stopping = true
      await running.close({ linger: LINGER })
      process.exit(0)
    })
  }
}
