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
  credentials: Credentials
  view: RevocationView
  maxStaleness: number
  now?: () => number
  onReady: () => void
  takeSeen: (now: number) => string[]
  onKeysDropped: () => void
  onError?: (error: Error) => void
}) {
  const { credentials, view, maxStaleness } = options
  const issuer = options.issuer.replace(/\/$/, '')
  const clock = options.now ?? Date.now
  const { asking, answered, silentFor } = freshness(clock)
  let offset = 0
  let heardAt = 0
  let clockAtHeard = 0
  const now = () => clock() + offset

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
  const { close } = followFeed({
    url: `${issuer.replace(/^http/, 'ws')}/feed`,
    credentials,
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
      // A message may have been on its way for as long as the answer was: rather too late an hour than too early,
      // or a token that has expired would pass.
      const difference = heardAt + answered() - clockAtHeard
      offset = Math.abs(difference) < SAME_TIME ? 0 : difference
      if (!first) return
      options.onReady()
      becomeReady()
    },
    onHeartbeat: ({ at, firstList }) => {
      // A machine whose clock is wrong goes by the authority's, or it would take dead tokens and refuse live ones.
      heardAt = at
      clockAtHeard = clock()
      view.bits.retire(firstList)
    },
    takeSeen: () => options.takeSeen(now()),
    onKeys: (kids) => void keys.expect(kids),
    onError: (error) => {
      if (error instanceof GuardError && error.code === 'CONFIGURATION') giveUp(error)
      options.onError?.(error)
    },
  })
  return { ready, close, silentFor, now, keyFor: keys.find }
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

export type Listening = ReturnType<typeof listen>
