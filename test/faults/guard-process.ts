// An API’s process, as far as its guard goes: told what to check over IPC. All guards believe one issuer, and each reaches
// the process of it that is at `PORT`.
import { Socket } from 'node:net'
import { createGuard, GuardError } from '../../packages/guard/src/index.ts'

export type Question = { id: number; token?: string }
export type Answer = {
  id: number
  ok?: boolean
  code?: string
  live?: boolean
  seq?: number
  /** The `seq` of each session that was heard to have ended, in order. */
  heard?: number[]
  /** Why its connection last broke off. */
  why?: string
}

const { ISSUER = '', PORT, AUDIENCE = '', CLIENT_ID = '', CLIENT_SECRET = '' } = process.env
const { port: shared } = new URL(ISSUER)
const { connect } = Socket.prototype
Socket.prototype.connect = function (this: Socket, ...given: unknown[]) {
  const [options] = [given[0]].flat() as { port?: number | string }[]
  if (options && `${options.port}` === shared) options.port = Number(PORT)
  return connect.apply(this, given as never)
} as typeof connect

const heard: number[] = []
let why: string | undefined
const guard = createGuard({
  ...{ issuer: ISSUER, audience: AUDIENCE },
  credentials: { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET },
  onError: ({ message }) => {
    why = message
  },
})
guard.on('session-ended', ({ seq }) => heard.push(seq))
guard.ready().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})

async function answer({ id, token }: Question): Promise<Answer> {
  if (token === undefined) return { id, ...guard.state(), heard, why }
  try {
    await guard.check(token)
    return { id, ok: true }
  } catch (error) {
    return { id, ok: false, code: error instanceof GuardError ? error.code : `${error}` }
  }
}
process.on('message', async (question: Question) => process.send?.(await answer(question)))
process.on('disconnect', () => process.exit())
