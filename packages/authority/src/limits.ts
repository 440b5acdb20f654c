import { networkOf } from './domain/network.ts'
import { RescindError } from './errors.ts'

/** A budget for each key (an address, an account): `burst` at once, then one more every `refillMs`. */
export type Budget = {
  /** @throws RescindError RATE_LIMITED when the key has nothing left */
  spend(key: string): void
  /** Throws as `spend` does, and takes nothing. */
  check(key: string): void
  /** Takes one, though nothing may be left: what it pays for was answered already. */
  charge(key: string): void
  /** Gives one back: what was spent turned out to be no attack. */
  refund(key: string): void
}

export type Limits = {
  /** Failed sign-ins from one address, and on one account. */
  signInAddress: Budget
  signInAccount: Budget
  /** Failed sign-ins on one account from one network that it has been used from before. */
  signInKnown: Budget
  /** Wrong current passwords, by session. */
  currentPassword: Budget
  /** New e-mails for one account: each answer says whether one is taken. */
  emailChange: Budget
  /** Links that somebody who forgot their password asks for, from one address; mails with links to one account. */
  forgotAddress: Budget
  resetMails: Budget
  /** Mailed links that are not good, from one address. */
  badLink: Budget
  /** Refused revocations from one address: a genuine one costs nothing, so logging out stays possible. */
  badRevocation: Budget
  /** Refused requests for tokens from one address. */
  badToken: Budget
  /** Clients of one address that could not prove who they are; one that can is served whatever others try. */
  badClient: Budget
  /** Accounts that one identity provider asks about. */
  globalRevocation: Budget
  /** Authorization requests from one address: each leaves a record for a while. */
  authorization: Budget
  /** Client registrations from one address. */
  registration: Budget
  /** Sign-in flows that agents start, from one address. */
  flows: Budget
}

const MAX_KEYS = 100_000

/**
 * A token bucket for each key, in memory, bounded.
 * @param now the time in ms
 */
export function createBudget(burst: number, refillMs: number, now: () => number): Budget {
  // For each key the time at which its bucket is full again: one number says it all.
  const fullAt = new Map<string, number>()

  function waitFor(key: string): number {
    const at = now()
    const level = Math.max(fullAt.get(key) ?? at, at)
    return level + refillMs - (at + burst * refillMs)
  }
  function refuseIfEmpty(key: string) {
    const wait = waitFor(key)
    if (wait <= 0) return
    const seconds = Math.max(1, Math.ceil(wait / 1000))
    throw new RescindError('RATE_LIMITED', `Too many attempts. Try again in ${seconds} s.`, seconds)
  }
  return {
    check: refuseIfEmpty,
    refund(key) {
      const level = fullAt.get(key)
      if (level !== undefined) fullAt.set(key, level - refillMs)
    },
    spend(key) {
      refuseIfEmpty(key)
      charge(key)
    },
    charge,
  }

  function charge(key: string) {
    const at = now()
    const level = Math.max(fullAt.get(key) ?? at, at) + refillMs
    fullAt.delete(key)
    fullAt.set(key, level)
    if (fullAt.size > MAX_KEYS) {
      // The key that was used longest ago is most likely full again.
      for (const oldest of fullAt.keys()) {
        fullAt.delete(oldest)
        break
      }
    }
  }
}

/** A budget for each network that requests come from. */
function byNetwork(budget: Budget): Budget {
  return {
    spend: (address) => budget.spend(networkOf(address)),
    charge: (address) => budget.charge(networkOf(address)),
    check: (address) => budget.check(networkOf(address)),
    refund: (address) => budget.refund(networkOf(address)),
  }
}

/** The budgets of an authority. */
export function createLimits(now: () => number): Limits {
  return {
    signInAddress: byNetwork(createBudget(30, 2_000, now)),
    signInAccount: createBudget(20, 60_000, now),
    signInKnown: createBudget(10, 60_000, now),
    currentPassword: createBudget(10, 60_000, now),
    emailChange: createBudget(5, 60 * 60_000, now),
    forgotAddress: byNetwork(createBudget(10, 60_000, now)),
    resetMails: createBudget(3, 20 * 60_000, now),
    badLink: byNetwork(createBudget(20, 10_000, now)),
    badRevocation: byNetwork(createBudget(60, 1_000, now)),
    badToken: byNetwork(createBudget(600, 100, now)),
    badClient: byNetwork(createBudget(60, 1_000, now)),
    globalRevocation: createBudget(300, 100, now),
    authorization: byNetwork(createBudget(600, 500, now)),
    registration: byNetwork(createBudget(20, 30_000, now)),
    flows: byNetwork(createBudget(60, 2_000, now)),
  }
}
