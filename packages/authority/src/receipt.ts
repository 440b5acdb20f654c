import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority } from './authority.ts'
import { confirmEverywhere } from './everywhere.ts'
import type { Confirmation } from './feed/confirm.ts'
import { preferredWait } from './http/prefer.ts'
import { sendJson } from './http/respond.ts'
import type { RevokeOutcome } from './store/store.ts'

/** What a revocation answers. A bare 200 proves nothing (RFC 7009 §2.2): the receipt does. */
export type Receipt =
  | { revoked: true; ended: ReceiptEntry[]; signedOut: boolean }
  /** It was dead before; nothing changed. */
  | { revoked: true; already: true }
  /** We never issued it, so there was nothing to revoke. */
  | { revoked: false; status: 'unknown_token' }

type ReceiptEntry = { what: string; sid?: string; before?: string; seq: number; at: string; reason: string }

/** The receipt of a revocation that was decided. */
export function receiptOf(outcome: Exclude<RevokeOutcome, { kind: 'refused' | 'conflict' }>): Receipt {
  if (outcome.kind === 'unknown') return { revoked: false, status: 'unknown_token' }
  if (outcome.kind === 'already') return { revoked: true, already: true }
  const ended = outcome.revocations.map((revocation) => {
    const { what, seq, at, reason } = revocation
    const which =
      what === 'cut_off' ? { before: new Date(revocation.before).toISOString() } : { sid: revocation.sid }
    return { what, ...which, seq, at: new Date(at).toISOString(), reason }
  })
  return { revoked: true, ended, signedOut: outcome.signedOut }
}

/**
 * Answers a revocation that was decided. Who asks for it (`Prefer: wait=N`) is answered once every connected guard
 * concerned has confirmed, or after N seconds; everybody else at once.
 * @param body what to answer, given what the guards said, where they were waited for
 */
export async function sendReceipt(
  authority: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  outcome: RevokeOutcome,
  body: (guards?: Confirmation) => unknown,
): Promise<void> {
  const seconds = preferredWait(req)
  if (seconds === undefined) return sendJson(res, 200, body())
  const revocations = outcome.kind === 'revoked' ? outcome.revocations : []
  const guards = await confirmEverywhere(authority, revocations, seconds * 1000)
  sendJson(res, 200, body(guards), { 'preference-applied': `wait=${seconds}` })
}
