import { networkOf } from './domain/network.ts'
import type { Failure } from './domain/suspicion.ts'

/** The failed sign-ins of the last hour, by account; in memory, bounded, and forgotten with a restart. */
export type Failures = {
  add(sub: string, address: string): void
  of(sub: string): readonly Failure[]
  /** Hears of each that was added here. */
  onFailure(listener: (sub: string, failure: Failure) => void): void
  /** Takes in one of another process. */
  heard(sub: string, failure: Failure): void
}

const KEPT_FOR = 60 * 60_000
const MAX_OF_ACCOUNT = 100
const MAX_ACCOUNTS = 10_000

/** @param now the time in ms */
export function createFailures(now: () => number): Failures {
  const all = new Map<string, Failure[]>()
  const recent = (sub: string) => (all.get(sub) ?? []).filter(({ at }) => at > now() - KEPT_FOR)
  let tell: (sub: string, failure: Failure) => void = () => {}
  function heard(sub: string, failure: Failure) {
    const mine = [...recent(sub), failure].slice(-MAX_OF_ACCOUNT)
    all.delete(sub)
    all.set(sub, mine)
    const [oldest] = all.keys()
    if (all.size > MAX_ACCOUNTS && oldest !== undefined) all.delete(oldest)
  }
  return {
    of: recent,
    heard,
    onFailure(listener) {
      tell = listener
    },
    add(sub, address) {
      const failure = { at: now(), network: networkOf(address) }
      heard(sub, failure)
      tell(sub, failure)
    },
  }
}
