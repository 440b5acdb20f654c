import { fork } from 'node:child_process'
import { join } from 'node:path'
import { API, API_GUARD } from '../setup.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'
import type { Answer, Question } from './guard-process.ts'

export type Guard = {
  name: string
  check(token: string): Promise<Answer>
  state(): Promise<Answer>
  /** Between it and its process. */
  wire: TcpProxy
  stop(): Promise<void>
}

/** @param port where the process is that it follows */
export async function startGuard(name: string, issuer: string, port: number): Promise<Guard> {
  const wire = await startTcpProxy(port)
  const child = fork(join(import.meta.dirname, 'guard-process.ts'), {
    env: {
      ...process.env,
      ...{ ISSUER: issuer, PORT: `${wire.port}`, AUDIENCE: API },
      ...{ CLIENT_ID: API_GUARD.clientId, CLIENT_SECRET: API_GUARD.clientSecret },
    },
  })
  const waiting = new Map<number, (answer: Answer) => void>()
  let last = 0
  child.on('message', (answer: Answer) => {
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  })
  const ask = (question: Omit<Question, 'id'>) =>
    new Promise<Answer>((resolve, reject) => {
      if (!child.connected) return reject(new Error(`${name} has ended`))
      waiting.set(++last, resolve)
      child.send({ id: last, ...question })
    })
  return {
    name,
    check: (token) => ask({ token }),
    state: () => ask({}),
    wire,
    stop() {
      child.kill('SIGKILL')
      return wire.stop()
    },
  }
}
