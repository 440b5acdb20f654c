import type { IncomingMessage } from 'node:http'
import type { Authority } from '../authority.ts'
import { hashSecret } from '../domain/secret.ts'
import type { UsedFrom } from '../domain/suspicion.ts'
import { addressOf } from '../http/address.ts'

/** From where, and by what, a request of a session's client comes; the user agent is only ever compared. */
export function usedFrom({ config }: Authority, req: IncomingMessage): UsedFrom {
  const agent = hashSecret(`${req.headers['user-agent'] ?? ''}`).slice(0, 16)
  return { address: addressOf(req, config.trustProxy), agent }
}
