import type { IncomingMessage } from 'node:http'

/** Nobody is kept waiting for longer, in seconds. */
const MAX_WAIT = 10

/**
 * How long a request wants to wait for what it asks (`Prefer: wait=2`, RFC 7240 §4.3), in whole seconds, 10 at most.
 * @returns nothing when it does not want to, or says so in a way that can't be read
 */
export function preferredWait(req: IncomingMessage): number | undefined {
  const { prefer } = req.headers
  if (prefer === undefined) return undefined
  const text = [prefer].flat().join(',')
  const [, seconds] = /(?:^|,)\s*wait\s*=\s*"?(\d{1,6})"?\s*(?=[,;]|$)/i.exec(text) ?? []
  return seconds === undefined ? undefined : Math.min(Number(seconds), MAX_WAIT)
}
