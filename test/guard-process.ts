// An API’s process, as far as a test of its guard needs one: told what to check over IPC. `SKEW` (ms) is how wrong its
// clock is.
import { createGuard, GuardError } from '../packages/guard/src/index.ts'

export type Command =
  | { id: number; do: 'check'; token: string }
  /** Checks, and keeps a connection open for the session. */
  | { id: number; do: 'hold'; token: string }
  | { id: number; do: 'state' }
export type Reply =
  | { id: number; ok: true; sid: string }
  | { id: number; ok: false; code: string; reason?: string }
  | { id: number; live: boolean; seq: number; open: number; ended: { sid: string; reason: string }[] }

const {
  ISSUER = '',
  AUDIENCE = '',
  CLIENT_ID = '',
  CLIENT_SECRET = '',
  SKEW = '0',
  MAX_STALENESS,
} = process.env
const systemClock = Date.now
Date.now = () => systemClock() + Number(SKEW)

const ended: { sid: string; reason: string }[] = []
const guard = createGuard({
  issuer: ISSUER,
  audience: AUDIENCE,
  credentials: { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET },
  ...(MAX_STALENESS ? { maxStaleness: Number(MAX_STALENESS) } : {}),
})

async function carryOut(command: Command): Promise<Reply> {
  const { id } = command
  if (command.do === 'state') {
    const { live, seq } = guard.state()
    return { id, live, seq, open: guard.connections.size, ended }
  }
  try {
    const session = await guard.check(command.token)
    const { sid } = session
    if (command.do === 'hold') guard.connections.add(session, (reason) => ended.push({ sid, reason }))
    return { id, ok: true, sid }
  } catch (error) {
    if (error instanceof GuardError) return { id, ok: false, code: error.code, reason: error.reason }
    return { id, ok: false, code: `${error}` }
  }
}

process.on('message', async (command: Command) => process.send?.(await carryOut(command)))
process.on('disconnect', () => process.exit())
await guard.ready()
process.send?.('ready')
