const FIRST = 5_000
const LONGEST = 4 * 60 * 60 * 1000
/** Up to this part is added at random, so that receivers that come back are not met by everything at once. */
const JITTER = 0.2

/**
 * When to try again: after 5 s, then four times as long each time, up to 4 h; never before the receiver wants it.
 * @param attempts failed ones before this one
 * @param now in ms, as are the others
 * @param giveUpAt when it is given up
 * @param asked how long the receiver wants to be left alone
 * @returns undefined when that would be too late
 */
export function backoff(
  attempts: number,
  now: number,
  giveUpAt: number,
  asked = 0,
  random = Math.random(),
): number | undefined {
  const own = Math.min(LONGEST, FIRST * 4 ** Math.min(attempts, 20)) * (1 + JITTER * random)
  const next = now + Math.ceil(Math.max(own, asked))
  return next > giveUpAt ? undefined : next
}
