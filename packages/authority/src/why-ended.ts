import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Authority } from './authority.ts'
import { sameSecret } from './domain/secret.ts'
import type { Session } from './domain/session.ts'
import { endedPageUrl } from './ended-code.ts'
import { RescindError } from './errors.ts'
import { addressOf } from './http/address.ts'
import { isForm, readForm, readJson } from './http/body.ts'
import { sendJson } from './http/respond.ts'
import { iso } from './own-sessions.ts'
import { MAX_TOKEN, readOwnSecret } from './revoke.ts'
import { validate } from './v1.ts'

const input = z.strictObject({ ticket: z.string().min(1).max(MAX_TOKEN) })

/**
 * `POST /v1/ended`: whether and why a session has ended, for an app that holds its logout ticket; and the address of a page
 * that tells the person. JSON, or a form, which a page may send without asking for leave first.
 * @throws RescindError VALIDATION_ERROR, INVALID_TOKEN, RATE_LIMITED
 */
export async function endedEndpoint(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  const { ticket } = validate(
    input,
    isForm(req) ? Object.fromEntries(await readForm(req)) : await readJson(req),
  )
  const session = await sessionOf(authority, ticket)
  if (!session) {
    authority.limits.badRevocation.spend(addressOf(req, authority.config.trustProxy))
    throw new RescindError('INVALID_TOKEN', 'Invalid logout ticket')
  }
  const { sid, ended } = session
  if (!ended) return sendJson(res, 200, { ended: false })
  const { reason, at } = ended
  sendJson(res, 200, { ended: true, reason, at: iso(at), page: endedPageUrl(authority, sid) })
}

async function sessionOf(authority: Authority, ticket: string): Promise<Session | undefined> {
  const secret = readOwnSecret(authority, ticket)
  if (secret?.kind !== 'logout_ticket') return undefined
  const session = await authority.store.read({ kind: 'session', sid: secret.sid })
  return session && sameSecret(session.ticketHash, secret.hash) ? session : undefined
}
