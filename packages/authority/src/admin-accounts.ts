import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { compromise } from './account-endings.ts'
import { administrator } from './admin.ts'
import type { Authority } from './authority.ts'
import { addressOf } from './http/address.ts'
import { readJson } from './http/body.ts'
import { receiptOf, sendReceipt } from './receipt.ts'
import { validate } from './v1.ts'

const input = z.strictObject({ reason: z.string().min(1).max(500) })

/**
 * `POST /v1/admin/accounts/{sub}/compromise`: an administrator says that somebody else has an account.
 * @throws RescindError AUTHENTICATION_FAILED, ACCESS_DENIED, VALIDATION_ERROR, NOT_FOUND
 */
export async function compromiseEndpoint(
  authority: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  sub: string,
) {
  const actor = await administrator(authority, req)
  const { reason } = validate(input, await readJson(req))
  const address = addressOf(req, authority.config.trustProxy)
  const outcome = await compromise(authority, sub, actor, address, reason)
  await sendReceipt(authority, req, res, outcome, (guards) => ({
    ...receiptOf(outcome),
    ...(guards ? { guards } : {}),
  }))
}
