import type { IncomingMessage } from 'node:http'
import type { Authority } from '../authority.ts'
import type { RefreshTokenParts } from '../domain/secret.ts'
import { presentedBefore } from '../domain/session.ts'
import { type Verdict, verdictOf } from '../hooks.ts'
import { addressOf } from '../http/address.ts'
import { revoke } from '../revoke.ts'
import { errors } from './library.ts'

/**
 * Asks the deployment's hook about a refresh, before it is decided. Only of a token that could still be used: all others
 * are refused anyway.
 * @returns `revoke` when the session was ended for it
 * @throws InteractionRequired when the person has to sign in again; the session lives on, and the token was not used up
 */
export async function judgeRefresh(
  authority: Authority,
  req: IncomingMessage,
  parts: RefreshTokenParts,
  clientId: string,
  jkt: string | undefined,
): Promise<Exclude<Verdict, 'step-up'>> {
  const { store, config, now, hooks, failures, log } = authority
  if (!hooks.onRefresh) return 'allow'
  const { sid } = parts
  const session = await store.read({ kind: 'session', sid })
  if (!session?.refresh || session.clientId !== clientId) return 'allow'
  if (session.jkt !== undefined && session.jkt !== jkt) return 'allow'
  const known = presentedBefore(session.refresh, parts, config.policy, now())
  if (known !== 'live' && known !== 'repeat') return 'allow'
  const { sub, device, usedFrom } = session
  const address = addressOf(req, config.trustProxy)
  const facts = {
    ...{ sub, sid, clientId, device, address, previousAddress: usedFrom?.address, at: now() },
    userAgent: `${req.headers['user-agent'] ?? ''}`.slice(0, 500),
    recentFailures: failures.of(sub).length,
  }
  const verdict = await verdictOf(hooks.onRefresh.bind(hooks), facts, log)
  if (verdict === 'step-up')
    throw new errors.InteractionRequired('sign in again: send an authorization request with prompt=login')
  if (verdict === 'revoke')
    await revoke(authority, { kind: 'session', sid }, 'rescind', address, { reason: 'suspicious_activity' })
  return verdict
}
