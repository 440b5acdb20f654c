import type { IncomingMessage } from 'node:http'

/**
 * The address that a request comes from. Behind a proxy that the deployment trusts it is the last entry of
 * X-Forwarded-For, the one that the proxy itself added; anything before it is the caller's own claim.
 */
export function addressOf(req: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? req.headers['x-forwarded-for'] : undefined
  const last = forwarded && [forwarded].flat().join(',').split(',').pop()?.trim()
  const address = last || req.socket.remoteAddress || 'unknown'
  return (address.startsWith('::ffff:') ? address.slice(7) : address).slice(0, 64)
}
