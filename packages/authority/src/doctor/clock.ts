import { type Finding, fail, ok, warn } from './finding.ts'

/** Clocks should agree within this, in ms; beyond the second, tokens are taken for not yet valid or for expired. */
const NEAR = 2_000
const FAR = 30_000

/**
 * Compares this machine's clock with another one.
 * @param whose says whose clock that is
 * @param there its time in ms
 * @param here this machine's time at that moment, in ms
 * @param grain how coarse the other one is, in ms: a `Date` has whole seconds
 */
export function compareClocks(whose: string, there: number, here: number, grain = 0): Finding {
  const off = there + grain / 2 - here
  const seconds = (Math.abs(off) / 1000).toFixed(1)
  const says = `This machine’s clock is ${seconds} s ${off > 0 ? 'behind' : 'ahead of'} that of ${whose}.`
  if (Math.abs(off) > FAR) return fail('clock', `${says} Set both by NTP.`)
  if (Math.abs(off) > NEAR) return warn('clock', `${says} Set both by NTP.`)
  return ok('clock', `This machine’s clock agrees with that of ${whose}.`)
}
