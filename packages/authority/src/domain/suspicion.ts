import { networkOf } from './network.ts'

/* What no honest device does. Pure: facts in, a yes or no out. */

/** From where, and by what, a session was used. */
export type UsedFrom = {
  /** An IP address. */
  address: string
  /** A hash of the user agent. */
  agent: string
}

/** A failed sign-in on an account. */
export type Failure = { at: number; network: string }

export type GuessingRule = {
  /** So many failures… */
  failures: number
  /** … within this time before a success, in ms. */
  within: number
}

/**
 * Whether a refresh token that comes again within the grace window comes from somebody else: another network and another
 * user agent than its first use a few seconds ago. A phone that changes from wifi to mobile keeps its user agent; an app
 * that updates itself keeps its network.
 */
export function impossibleReuse(first: UsedFrom | undefined, again: UsedFrom | undefined): boolean {
  if (!first || !again) return false
  return networkOf(first.address) !== networkOf(again.address) && first.agent !== again.agent
}

/**
 * Whether a success may be the end of guessing: many failures shortly before, from two networks or more. One person who
 * forgot a password fails from one.
 * @param now the time in ms
 */
export function guessedAt(failures: readonly Failure[], rule: GuessingRule, now: number): boolean {
  const recent = failures.filter(({ at }) => at > now - rule.within)
  return recent.length >= rule.failures && new Set(recent.map(({ network }) => network)).size >= 2
}
