import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'

/* A measurement runs in a process of its own, which is told what to do over IPC. */

export type Worker = {
  ask<T>(command: Record<string, unknown>): Promise<T>
  stop(): Promise<void>
}

/** Whether a process can be held on one core here. */
export function canPin(): boolean {
  return process.platform === 'linux' && spawnSync('taskset', ['-c', '0', 'true']).status === 0
}

/**
 * @param file of bench/
 * @param options.pinned hold it on the first core
 */
export function startWorker(
  file: string,
  args: string[],
  options: { pinned?: boolean; flags?: string[] } = {},
) {
  const node = [process.execPath, ...(options.flags ?? []), join(import.meta.dirname, file), ...args]
  const [command = '', ...rest] = options.pinned ? ['taskset', '-c', '0', ...node] : node
  const child = spawn(command, rest, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  })
  const waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>()
  let last = 0
  let over = false
  const gone = new Promise<void>((resolve) =>
    child.once('exit', (code, signal) => {
      over = true
      for (const { reject } of waiting.values()) reject(new Error(`${file} ended: ${code ?? signal}`))
      resolve()
    }),
  )
  child.on('message', ({ id, value, error }: { id: number; value: unknown; error?: string }) => {
    const waiter = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) waiter?.resolve(value as never)
    else waiter?.reject(new Error(error))
  })
  return {
    ask: <T>(command: Record<string, unknown>) =>
      new Promise<T>((resolve, reject) => {
        if (over) return reject(new Error(`${file} has ended`))
        waiting.set(++last, { resolve: resolve as (value: never) => void, reject })
        child.send({ id: last, ...command })
      }),
    async stop() {
      if (!over) child.disconnect()
      await gone
    },
  } satisfies Worker
}

type Handlers = Record<string, (command: never) => unknown>

/** The other side: answers each command by the function of its name, until nobody asks any more. */
export function serveCommands(handlers: Handlers): void {
  process.on('message', async (command: { id: number; do: string }) => {
    const { id } = command
    try {
      process.send?.({ id, value: await handlers[command.do]?.(command as never) })
    } catch (error) {
      process.send?.({ id, error: `${(error as Error).stack}` })
    }
  })
  process.on('disconnect', () => process.exit())
}
