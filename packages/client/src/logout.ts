import { logoutOf, type Outbox } from './outbox.ts'
import type { Ended, Platform } from './platform.ts'
import type { SessionCore } from './session.ts'
import { within } from './within.ts'

/** What happened at a logout. It is over in any case. */
export type LogoutResult = {
  /** Whether everything that was to be cleared here was. */
  local: 'cleared' | 'incomplete'
  /**
   * `queued`: the authority has not confirmed it yet, and goes on being told. `undelivered`: it was not told, and the device
   * could not keep the ticket either.
   */
  server: 'confirmed' | 'already-revoked' | 'queued' | 'undelivered'
  failures: Failure[]
}

/** One step that failed; the others were done all the same. */
export type Failure = { step: string; message: string }

/** What each step may take, in ms. Together they are under 2 s, whatever the network and the disk do. */
const LIMITS = { look: 150, outbox: 250, clear: 400, deliver: 900, sweep: 100 }

type Parts = {
  platform: Platform
  core: SessionCore
  outbox: Outbox
  /** Hears of the end, before the app is sent elsewhere. */
  tell(ended: Ended): void
}

/** Ends the session on this device, step by step; no step that fails or hangs keeps the others from being done. */
export function createEnding({ platform, core, outbox, tell }: Parts) {
  /** What is cleared, each for itself. */
  const clear = (everywhere: boolean, ended: Ended, step: ReturnType<typeof stepper>) =>
    Promise.all(platform.clearing(everywhere, ended).map(({ name, run }) => step(name, LIMITS.clear, run)))

  async function run(ended: Ended, reason?: string): Promise<LogoutResult> {
    const failures: Failure[] = []
    const step = stepper(failures)
    const known = core.held()?.tokens
    await step('look', LIMITS.look, core.look)
    // It ended elsewhere, and perhaps there is somebody else’s session by now: that one is left alone.
    const over = core.over()
    const { epoch, tokens = known } = core.held() ?? {}
    core.close(over ?? ended)
    let stored = false
    const queued = await step('outbox', LIMITS.outbox, async () => {
      const kept = await platform.store.end(ended, epoch, reason)
      stored = true
      return kept
    })
    // Under way while this device is cleared; a ticket that could not be kept has no other chance.
    const sent =
      !stored && tokens && reason && outbox.send(logoutOf(tokens.ticket, tokens.claims.sid, reason))
    await clear(!over, ended, step)
    await step('tabs', LIMITS.clear, platform.tellTabs)
    let server: LogoutResult['server'] = stored || !reason ? 'already-revoked' : 'undelivered'
    const first = queued?.sid ?? tokens?.claims.sid
    if (reason && first) {
      step('background', LIMITS.clear, () => platform.queued?.())
      const delivery = await step('deliver', LIMITS.deliver, () => sent || outbox.deliver({ first }))
      if (delivery?.why) failures.push({ step: 'verify', message: delivery.why })
      server = delivery?.server ?? 'queued'
      if (sent && server === 'queued') server = 'undelivered'
    }
    await step('sweep', LIMITS.sweep, () => platform.sweep?.())
    await step('redirect', LIMITS.clear, () => leave(ended))
    const local = failures.every(({ step }) => REMOTE.includes(step)) ? 'cleared' : 'incomplete'
    return { local, server, failures }
  }

  let ending: Promise<LogoutResult> | undefined
  /**
   * However many ask for it, it ends once.
   * @param ended what is kept and told
   * @param reason why, for the authority; nothing, when it is where this comes from
   */
  function endHere(ended: Ended, reason?: string): Promise<LogoutResult> {
    ending ??= run(ended, reason).finally(() => {
      ending = undefined
    })
    return ending
  }

  /** What is left to do where another tab has ended it. */
  async function endTab(ended: Ended): Promise<void> {
    core.close(ended)
    outbox.deliver({ woken: true }).catch(() => {})
    await clear(false, ended, stepper([]))
    leave(ended)
  }

  function leave(ended: Ended) {
    tell(ended)
    if (ended.to !== false) platform.go(ended.to)
  }

  return { endHere, endTab }
}

const REMOTE = ['deliver', 'verify', 'background']

/** Runs a step within its time, in ms; what goes wrong is noted, and nothing else comes of it. */
function stepper(failures: Failure[]) {
  return async <T>(name: string, ms: number, work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await within(ms, work)
    } catch (error) {
      failures.push({ step: name, message: `${(error as Error)?.message ?? error}` })
      return undefined
    }
  }
}
