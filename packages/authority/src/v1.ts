import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { authenticate, authenticationFailed } from './authenticate.ts'
import type { Authority } from './authority.ts'
import { RescindError } from './errors.ts'
import { addressOf } from './http/address.ts'
import { readJson } from './http/body.ts'
import { sendJson } from './http/respond.ts'
import { receiptOf, sendReceipt } from './receipt.ts'
import { MAX_TOKEN, revokePair, told } from './revoke.ts'

const token = (what: string) =>
  z.string().min(1).max(MAX_TOKEN).describe(`The ${what}, exactly as it was issued`)

/** What `revoke_oauth_tokens` takes, as a tool and at `POST /v1/revoke`. */
export const revokeInput = z.strictObject({
  accessToken: token('access token to revoke'),
  refreshToken: token('refresh token of the same session; send it to log out').optional(),
})

/**
 * Checks what a caller sent.
 * @throws RescindError VALIDATION_ERROR, naming the field and what it may be, never what was sent
 */
export function validate<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return result.data
  const [issue] = result.error.issues
  const field = issue?.path.join('.') ?? ''
  if (issue?.code === 'unrecognized_keys') {
    const names = issue.keys.map((key) => `\`${key.replace(/[^\w.-]/g, '?').slice(0, 40)}\``).join(', ')
    throw new RescindError('VALIDATION_ERROR', `Unknown field: ${names}.`)
  }
  throw new RescindError('VALIDATION_ERROR', `\`${field}\` ${fault(issue)}.`)
}

function fault(issue: z.core.$ZodIssue | undefined): string {
  switch (issue?.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `must be a ${issue.expected}`
    case 'too_small':
      return Number(issue.minimum) > 1
        ? `must have at least ${issue.minimum} characters`
        : 'must not be empty'
    case 'too_big':
      return `may have at most ${issue.maximum} characters`
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`
    default:
      return 'is not valid'
  }
}

/**
 * `POST /v1/revoke`: the tool's JSON over plain HTTP. With `Prefer: wait=N` (RFC 7240) it also answers a receipt, once
 * the guards have confirmed or the time is out.
 */
export async function revokeEndpoint(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  const input = validate(revokeInput, await readJson(req))
  const outcome = await revokePair(authority, input, addressOf(req, authority.config.trustProxy))
  await sendReceipt(authority, req, res, outcome, (guards) =>
    guards ? { ...told(outcome), receipt: { ...receiptOf(outcome), guards } } : told(outcome),
  )
}

/**
 * `GET /v1/session`: the session of the token that is presented, whatever API the token is for. Whether it is
 * answered is whether the token lives.
 */
export async function sessionEndpoint(authority: Authority, req: IncomingMessage, res: ServerResponse) {
  const claims = await authenticate(authority, req)
  if (!claims) throw authenticationFailed()
  const { sid, sub, clientId, scope, exp } = claims
  sendJson(res, 200, { sid, sub, clientId, scope, expiresAt: new Date(exp * 1000).toISOString() })
}
