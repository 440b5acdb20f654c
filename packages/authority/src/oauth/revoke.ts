import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority } from '../authority.ts'
import type { RevocationRequest } from '../domain/revocation.ts'
import { RescindError, unavailable } from '../errors.ts'
import { addressOf } from '../http/address.ts'
import { readForm } from '../http/body.ts'
import { sendJson } from '../http/respond.ts'
import { claimsOf } from '../keys/verifier.ts'
import { receiptOf, sendReceipt } from '../receipt.ts'
import { MAX_TOKEN, presentedAccess, readOwnSecret, revoke } from '../revoke.ts'
import { authenticateClient, OAuthError } from './client-auth.ts'

/**
 * `POST /oauth/revoke` (RFC 7009): an access token, a refresh token or a logout ticket, for its own client.
 * 200 only once it is durable. A hint only says where to look first (§2.1); each kind of ours says what it is.
 * @throws OAuthError invalid_client, invalid_request, invalid_grant; RescindError
 */
export async function revocationEndpoint(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  const address = addressOf(req, authority.config.trustProxy)
  const form = await readForm(req)
  const client = await authenticateClient(authority, req, form)
  const token = form.get('token')
  if (!token) throw new OAuthError(400, 'invalid_request', 'the parameter `token` is missing')
  const reason = reasonIn(form)
  const by = await presented(authority, token, client.clientId)
  if (!by) return sendJson(res, 200, { revoked: false, status: 'unknown_token' })
  const outcome = await revoke(authority, by, `client:${client.clientId}`, address, { reason })
  if (outcome.kind === 'refused') {
    throw new OAuthError(400, 'invalid_grant', 'the token was issued to another client')
  }
  if (outcome.kind === 'conflict') throw unavailable()
  await sendReceipt(authority, req, res, outcome, (guards) => ({
    ...receiptOf(outcome),
    ...(guards ? { guards } : {}),
  }))
}

/** Why, in the words that an app may choose; the others are ours to say. */
const REASONS_OF_APPS = ['user_logout', 'app_uninstall', 'account_switch', 'device_removed'] as const

function reasonIn(form: Map<string, string>): (typeof REASONS_OF_APPS)[number] {
  const given = form.get('reason') ?? 'user_logout'
  const reason = REASONS_OF_APPS.find((one) => one === given)
  if (reason) return reason
  throw new RescindError('VALIDATION_ERROR', `\`reason\` must be one of ${REASONS_OF_APPS.join(', ')}.`)
}

async function presented(
  authority: Authority,
  token: string,
  clientId: string,
): Promise<RevocationRequest['by'] | undefined> {
  if (token.length > MAX_TOKEN) return undefined
  const secret = readOwnSecret(authority, token)
  if (secret?.kind === 'refresh_token') return { kind: 'refresh', refresh: secret, clientId }
  if (secret?.kind === 'logout_ticket')
    return { kind: 'ticket', sid: secret.sid, hash: secret.hash, clientId }
  const claims = await claimsOf(authority.lateVerifier, token, { anyTime: true })
  return claims && { kind: 'access', access: presentedAccess(authority, claims), clientId }
}
