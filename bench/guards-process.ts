// Many guards in one process, each with its own feed. Told a token, it says when each of them began to refuse it.
import { createGuard, type Guard, GuardError } from '../packages/guard/src/index.ts'
import { ticks } from './measure.ts'
import { serveCommands } from './worker.ts'

export type Watched = {
  /** When each guard first refused the token, on the clock of `ticks()`, in the order in which they did. */
  refusedAt: number[]
  /** Checks that still let the token through after the guard had said that its session ended. */
  late: number
  /** What the guards that did not refuse it in time say of themselves. */
  missing: string[]
}

type Watch = Omit<Watched, 'missing'> & { token: string; heard: Set<Guard>; done: (watched: Watched) => void }

/** So many are started at a time. */
const AT_ONCE = 50
const PATIENCE = 15_000

const guards: Guard[] = []
let watch: Watch | undefined

async function start(options: {
  count: number
  issuer: string
  resource: string
  credentials: { clientId: string; clientSecret: string }
}) {
  const { count, issuer, resource, credentials } = options
  while (guards.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - guards.length) }, () =>
      createGuard({ issuer, audience: resource, credentials }),
    )
    for (const guard of some) guard.on('session-ended', () => void refuses(guard))
    await Promise.all(some.map((guard) => guard.ready()))
    guards.push(...some)
  }
  return guards.length
}

/** The guard says that a session ended: from now on its check has to throw, and only that counts. */
async function refuses(guard: Guard) {
  const watched = watch
  if (!watched) return
  try {
    await guard.check(watched.token)
    watched.late++
  } catch (error) {
    if (!(error instanceof GuardError) || error.code !== 'AUTHENTICATION_FAILED') return
    watched.heard.add(guard)
    if (watched.refusedAt.push(ticks()) === guards.length) finish()
  }
}

function finish() {
  if (!watch) return
  const { refusedAt, late, heard, done } = watch
  watch = undefined
  const deaf = guards.filter((guard) => !heard.has(guard))
  done({ refusedAt, late, missing: deaf.map((guard) => JSON.stringify(guard.state())) })
}

/** Lets every guard accept a token. @returns at how many it was */
async function accept({ token }: { token: string }): Promise<number> {
  const checks = await Promise.allSettled(guards.map((guard) => guard.check(token)))
  return checks.filter(({ status }) => status === 'fulfilled').length
}

let outcome: Promise<Watched> | undefined

/** From the answer to this on, the token is watched; `outcome` waits until every guard has refused it. */
function arm({ token }: { token: string }) {
  outcome = new Promise((done) => {
    const made: Watch = { token, refusedAt: [], late: 0, heard: new Set(), done }
    watch = made
    setTimeout(() => watch === made && finish(), PATIENCE).unref()
  })
}

serveCommands({ start, accept, arm, outcome: () => outcome, clock: () => ticks() })
