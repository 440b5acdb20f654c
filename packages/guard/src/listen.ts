import { GuardError } from './errors.ts'
import { type Credentials, followFeed } from './feed.ts'
import { remoteKeys } from './jwks.ts'
import { loadStatusLists } from './lists.ts'
import type { RevocationView } from './view.ts'

/** Clocks that differ by less than this, in ms, are taken for the same: a message takes time to come. */
const SAME_TIME = 1_000

/**
 * Everything that the guard hears from its authority: the status lists, the feed, the keys, and what time it is there.
 * @param options.maxStaleness in ms
 * @param options.onReady the view knows everything again
 * @param options.takeSeen takes the sessions that are to be reported, by the authority's clock
 * @param options.onKeysDropped what was verified before is to be verified again
 */
export function listen(options: {
  issuer: string
  audience: string
  credentials: Credentials
  view: RevocationView
  maxStaleness: number
  now?: () => number
  onReady: () => void
  takeSeen: (now: number) => string[]
  onKeysDropped: () => void
  onError?: (error: Error) => void
}) {
  const { credentials, audience, view, maxStaleness } = options
  const warnOnce = once((error: GuardError) => process.emitWarning(error.message, 'RescindGuard'))
  const issuer = options.issuer.replace(/\/$/, '')
  const clock = options.now ?? Date.now
  const { asking, answered, silentFor } = freshness(clock)
  const time = authoritysTime(clock)

  let becomeReady = () => {}
  let giveUp: (error: GuardError) => void = () => {}
  const ready = new Promise<void>((resolve, reject) => {
    becomeReady = resolve
    giveUp = reject
  })
  // Who does not wait for it hears of it by `onError`.
  ready.catch(() => {})
  const keys = remoteKeys({
    url: `${issuer}/oauth/jwks`,
    now: () => performance.now(),
    listening: () => silentFor() <= maxStaleness,
    onDropped: options.onKeysDropped,
  })
  const { close, seq } = followFeed({
    url: `${issuer.replace(/^http/, 'ws')}/feed`,
    credentials,
    audience,
    view,
    load: () =>
      loadStatusLists({
        aggregation: `${issuer}/status-lists`,
        bits: view.bits,
        keyFor: keys.find,
        now: clock,
      }),
    onAsking: asking,
    onFresh: (first) => {
      time.confirmed(answered())
      if (!first) return
      options.onReady()
      becomeReady()
    },
    onHeartbeat: ({ at, firstList }) => {
      time.heard(at)
      view.bits.retire(firstList)
    },
    takeSeen: () => options.takeSeen(time.now()),
    onKeys: (kids) => void keys.expect(kids),
    onError: (error) => {
      const told = asGuardError(error, issuer)
      if (told.code === 'CONFIGURATION') giveUp(told)
      if (options.onError) options.onError(told)
      else warnOnce(told)
    },
  })
  return { ready, close, seq, silentFor, now: time.now, keyFor: keys.find }
}

/**
 * How fresh what we know is: as old as the last question that was answered. By two clocks, of which the worse one
 * counts: nobody sets back the one that ticks, but it stands still while a machine sleeps.
 */
function freshness(clock: () => number) {
  const never = { ticks: -Infinity, clock: -Infinity }
  let asked = never
  let fresh = never
  return {
    asking() {
      asked = { ticks: performance.now(), clock: clock() }
    },
    /** How long the answer took, in ms. */
    answered() {
      fresh = asked
      return performance.now() - asked.ticks
    },
    silentFor: () => Math.max(performance.now() - fresh.ticks, clock() - fresh.clock),
  }
}

/** A machine whose clock is wrong goes by the authority's, or it would take dead tokens and refuse live ones. */
function authoritysTime(clock: () => number) {
  let offset = 0
  let heard = 0
  return {
    now: () => clock() + offset,
    /** @param at what time it is there, in ms */
    heard(at: number) {
      heard = at - clock()
    },
    /**
     * What was heard may have been on its way for as long as an answer was: rather too late an hour than too early, or
     * a token that has expired would pass.
     * @param took how long the answer took, in ms
     */
    confirmed(took: number) {
      const difference = heard + took
      offset = Math.abs(difference) < SAME_TIME ? 0 : difference
    },
  }
}

/** Where nobody listens for errors, an API that waits for its authority should not wait in silence. */
function once<T>(tell: (what: T) => void): (what: T) => void {
  let told = false
  return (what) => {
    if (!told) tell(what)
    told = true
  }
}

/** Why there is no connection, in words: what `fetch` throws hides it in its cause. */
function asGuardError(error: Error, issuer: string): GuardError {
  if (error instanceof GuardError) return error
  const { code, message } = (error.cause ?? error) as { code?: unknown; message?: string }
  const why = typeof code === 'string' ? code : message || error.message
  return new GuardError('UNAVAILABLE', `Not connected to the authority at ${issuer}: ${why}. Trying again.`)
}

export type Listening = ReturnType<typeof listen>
