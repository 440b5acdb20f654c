import type { AuditEvent } from './audit.ts'
import type { Reason } from './reason.ts'

/* What somebody outside has to be told about what happened. Pure: an audit record in, notices out. */

/** What a webhook can be told of. */
export const WEBHOOK_TYPES = [
  'session.opened',
  'session.ended',
  'access_token.revoked',
  'refresh_token.revoked',
  'tokens.cut_off',
  'account.created',
  'account.password_changed',
  'account.email_changed',
  'account.compromised',
  'account.deactivated',
  'account.reactivated',
  'device.added',
  'signin.failed',
  'client.registered',
  'client.removed',
  'keys.rotated',
] as const
export type WebhookType = (typeof WEBHOOK_TYPES)[number]

/** The mails that a person can get. */
export type MailKind =
  | 'new_device'
  | 'signed_out'
  | 'token_reuse'
  | 'password_changed'
  | 'email_changed'
  | 'suspicious_signin'
  | 'compromised'
  | 'reset'

export type Notice =
  | { kind: 'webhook'; type: WebhookType; timestamp: string; data: Record<string, unknown> }
  | { kind: 'mail'; mail: MailKind; sub: string }
  /** For the client whose session ended, if it has asked to be told (OpenID Connect Back-Channel Logout 1.0). */
  | { kind: 'backchannel_logout'; clientId: string; sub: string; sid: string }

type Caused = { type?: WebhookType; mail?: MailKind }

const BY_EVENT: Partial<Record<AuditEvent['event'], Caused>> = {
  'session.opened': { type: 'session.opened' },
  'account.created': { type: 'account.created' },
  'account.password_set': { type: 'account.password_changed', mail: 'password_changed' },
  'account.email_changed': { type: 'account.email_changed', mail: 'email_changed' },
  'account.compromised': { type: 'account.compromised', mail: 'compromised' },
  'account.deactivated': { type: 'account.deactivated' },
  'account.reactivated': { type: 'account.reactivated' },
  'account.reset_requested': { mail: 'reset' },
  'device.added': { type: 'device.added', mail: 'new_device' },
  'signin.failed': { type: 'signin.failed' },
  'signin.suspicious': { mail: 'suspicious_signin' },
  'client.registered': { type: 'client.registered' },
  'client.removed': { type: 'client.removed' },
  'keys.rotated': { type: 'keys.rotated' },
}

const BY_WHAT: Record<string, WebhookType> = {
  session: 'session.ended',
  access_token: 'access_token.revoked',
  refresh_token: 'refresh_token.revoked',
  cut_off: 'tokens.cut_off',
}

/**
 * The mail that the end of a session causes. None for what the person did in that session, for what happens by itself,
 * and where another mail says it: a password that changed, an account that is compromised.
 */
const BY_REASON: Partial<Record<Reason, MailKind>> = {
  device_removed: 'signed_out',
  admin_forced: 'signed_out',
  suspicious_activity: 'signed_out',
  token_reuse: 'token_reuse',
}

/** What the record is about that the audit log does not say. */
export type About = { client?: { backchannelUri?: string } | undefined }

/** Who has to be told of what an audit record says. */
export function noticesOf(record: AuditEvent & { n: number }, about: About = {}): Notice[] {
  const { event, sub, sid, clientId } = record
  const { type, mail } = event === 'revocation' ? byRevocation(record) : (BY_EVENT[event] ?? {})
  const notices: Notice[] = []
  if (type) {
    const timestamp = new Date(record.at).toISOString()
    notices.push({ kind: 'webhook', type, timestamp, data: dataOf(record) })
  }
  if (mail && sub !== undefined) notices.push({ kind: 'mail', mail, sub })
  if (type === 'session.ended' && about.client?.backchannelUri && clientId && sub && sid) {
    notices.push({ kind: 'backchannel_logout', clientId, sub, sid })
  }
  return notices
}

/** The mail that a revocation causes, if it causes one. */
export function mailOfRevocation({ reason, detail }: AuditEvent): MailKind | undefined {
  return whatEnded(detail) === 'session' ? BY_REASON[reason as Reason] : undefined
}

function byRevocation(record: AuditEvent): Caused {
  const type = BY_WHAT[whatEnded(record.detail)]
  return { ...(type ? { type } : {}), mail: mailOfRevocation(record) }
}

/** What ended stands first; an administrator's words may follow. */
function whatEnded(detail: string | undefined): string {
  return /^\w+/.exec(detail ?? '')?.[0] ?? ''
}

function dataOf({ n, actor, sub, sid, clientId, address, reason, seq, detail }: AuditEvent & { n: number }) {
  return { n, seq, sub, sid, clientId, reason, actor, address, detail }
}
