import { type ChildProcess, fork } from 'node:child_process'
import { openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../setup.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'

/** One process of the authority, with the wires that lead to it and from it. */
export type AuthorityProcess = {
  name: string
  /** Where clients reach it: through the wire. */
  url: string
  /** Where it is. */
  port: number
  wire: TcpProxy
  /** Its own way to the database. */
  link: TcpProxy
  kill(): Promise<void>
  start(): void
  /** SIGSTOP and SIGCONT. */
  halt(): void
  goOn(): void
  /** Moves its clock this far from the right time, in ms. */
  setClock(ahead: number): void
  stop(): Promise<void>
}

/** As a service manager does: what ends by itself is started again. */
const AGAIN = 300

/**
 * @param config what all processes have in common
 * @param store gives the database’s address, for a port
 */
export async function createAuthorityProcess(options: {
  name: string
  folder: string
  config: Record<string, unknown>
  database: number
  store: (port: number) => string
}): Promise<AuthorityProcess> {
  const { name, folder, config, database, store } = options
  const port = await freePort()
  const wire = await startTcpProxy(port)
  const link = await startTcpProxy(database)
  const file = join(folder, `${name.replace(' ', '-')}.json`)
  writeFileSync(file, JSON.stringify({ ...config, port, store: store(link.port) }))
  const errors = openSync(file.replace('.json', '.log'), 'a')
  let child: ChildProcess | undefined
  let wanted = false
  let ahead = 0

  function spawn() {
    const own = fork(join(import.meta.dirname, 'authority-process.ts'), [file, `${ahead}`], {
      stdio: ['ignore', 'ignore', errors, 'ipc'],
    })
    child = own
    own.on('error', () => {})
    own.on('exit', () => {
      if (child === own) child = undefined
      if (wanted) setTimeout(() => wanted && !child && spawn(), AGAIN)
    })
  }
  async function kill() {
    wanted = false
    const gone = child && new Promise((resolve) => child?.once('exit', resolve))
    child?.kill('SIGKILL')
    await gone
  }
  return {
    ...{ name, port, url: `http://localhost:${wire.port}`, wire, link, kill },
    start() {
      wanted = true
      if (!child) spawn()
    },
    halt: () => void child?.kill('SIGSTOP'),
    goOn: () => void child?.kill('SIGCONT'),
    setClock(to) {
      ahead = to
      if (child?.connected) child.send(ahead, () => {})
    },
    async stop() {
      await kill()
      await wire.stop()
      await link.stop()
    },
  }
}
