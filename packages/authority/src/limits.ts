import { hash } from 'node:crypto'
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

/** What is spent of all budgets, for other processes: keys are hashed, as they are addresses and e-mails. */
export type Spending = {
  /** The listener of one budget, and what takes in what was spent of it somewhere else. */
  budget(name: string, take: (key: string, count: number) => void): (key: string, count: number) => void
  onSpent(listener: (budget: string, key: string, count: number) => void): void
  heard(budget: string, key: string, count: number): void
}

export function createSpending(): Spending {
  const takers = new Map<string, (key: string, count: number) => void>()
  let tell: Parameters<Spending['onSpent']>[0] = () => {}
  return {
    budget(name, take) {
      takers.set(name, take)
      return (key, count) => tell(name, key, count)
    },
    onSpent(listener) {
      tell = listener
    },
    heard: (name, key, count) => takers.get(name)?.(key, count),
  }
}

/**
 * A token bucket for each key, in memory, bounded.
 * @param now the time in ms
 * @param spending the budget’s name among those that are shared with other processes; without it, it is this process’s own
 */
export function createBudget(
  burst: number,
  refillMs: number,
  now: () => number,
  shared?: { name: string; spending: Spending },
): Budget {
  // For each key how long its bucket took to be full again, in ms, when it was last looked at.
  const spent = new Map<string, { owed: number; at: number }>()
  const said = shared?.spending.budget(shared.name, take)
  const placeOf = (key: string) => (shared ? hash('sha256', key, 'base64url').slice(0, 22) : key)

  function owedBy(place: string): number {
    const one = spent.get(place)
    if (!one) return 0
    const at = now()
    // A clock that was set back says nothing of how much time has passed: nobody waits for it to catch up.
    one.owed = Math.max(0, one.owed - Math.max(0, at - one.at))
    one.at = at
    return one.owed
  }
  function refuseIfEmpty(place: string) {
    const wait = owedBy(place) + refillMs - burst * refillMs
    if (wait <= 0) return
    const seconds = Math.max(1, Math.ceil(wait / 1000))
    throw new RescindError('RATE_LIMITED', `Too many attempts. Try again in ${seconds} s.`, seconds)
  }
  function take(place: string, count: number) {
    if (count < 0 && !spent.has(place)) return
    const owed = Math.max(0, owedBy(place) + count * refillMs)
    spent.delete(place)
    spent.set(place, { owed, at: now() })
    if (spent.size > MAX_KEYS) {
      // The key that was used longest ago is most likely full again.
      for (const oldest of spent.keys()) {
        spent.delete(oldest)
        break
      }
    }
  }
  function change(place: string, count: number) {
    take(place, count)
    said?.(place, count)
  }
  return {
    check: (key) => refuseIfEmpty(placeOf(key)),
    refund: (key) => change(placeOf(key), -1),
    charge: (key) => change(placeOf(key), 1),
    spend(key) {
      const place = placeOf(key)
      refuseIfEmpty(place)
      change(place, 1)
    },
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

/**
 * The budgets of an authority.
 * @param now the time in ms
 * @param spending where other processes share them
 */
export function createLimits(now: () => number, spending?: Spending): Limits {
  const budget = (name: string, burst: number, refillMs: number) =>
    createBudget(burst, refillMs, now, spending && { name, spending })
  return {
    signInAddress: byNetwork(budget('sign-in address', 30, 2_000)),
    signInAccount: budget('sign-in account', 20, 60_000),
    signInKnown: budget('sign-in known', 10, 60_000),
    currentPassword: budget('current password', 10, 60_000),
    emailChange: budget('email change', 5, 60 * 60_000),
    forgotAddress: byNetwork(budget('forgot address', 10, 60_000)),
    resetMails: budget('reset mails', 3, 20 * 60_000),
    badLink: byNetwork(budget('bad link', 20, 10_000)),
    badRevocation: byNetwork(budget('bad revocation', 60, 1_000)),
    badToken: byNetwork(budget('bad token', 600, 100)),
    badClient: byNetwork(budget('bad client', 60, 1_000)),
    globalRevocation: budget('global revocation', 300, 100),
    authorization: byNetwork(budget('authorization', 600, 500)),
    registration: byNetwork(budget('registration', 20, 30_000)),
    flows: byNetwork(budget('flows', 60, 2_000)),
  }
}
