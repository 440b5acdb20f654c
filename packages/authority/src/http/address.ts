import type { IncomingMessage } from 'node:http'

/**
 * What counts as one address for a budget: an IPv4 address, or the /64 that one IPv6 subscriber can take any
 * address from.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? []
  const left = head.split(':').filter(Boolean)
  const right = tail === undefined ? [] : tail.split(':').filter(Boolean)
  const missing = Math.max(0, 8 - left.length - right.length)
  const groups = tail === undefined ? left : [...left, ...Array<string>(missing).fill('0'), ...right]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')}::/64`
}

/**
 * The address that a request comes from. Behind a proxy that the deployment trusts it is the last entry of
 * X-Forwarded-For, the one that the proxy itself added; anything before it is the caller's own claim.
 */
export function addressOf(req: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? req.headers['x-forwarded-for'] : undefined
  const last = [forwarded].flat().join(',').split(',').pop()?.trim()
  return (last || req.socket.remoteAddress || 'unknown').replace(/^::ffff:/, '').slice(0, 64)
}
