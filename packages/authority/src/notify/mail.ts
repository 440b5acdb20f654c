import type { Authority } from '../authority.ts'
import type { Config } from '../config.ts'
import { mailOfRevocation } from '../domain/notices.ts'
import { type EndedSession, renderMail } from '../pages/mail.ts'
import type { DueDelivery } from '../store/deliveries.ts'
import { clientFacts } from './clients.ts'
import { createMailTransport } from './mail-transport.ts'
import type { MailPayload } from './plan-mail.ts'
import type { Attempt } from './send.ts'

/** A mail names so many sessions that ended; the rest are counted. */
const MAX_NAMED = 10

/** Sends mail by SMTP. */
export function createMailer({ mail, issuer, name }: Pick<Config, 'mail' | 'issuer' | 'name'>) {
  const transport = mail && createMailTransport(mail)
  const { hostname } = new URL(issuer)

  async function send(authority: Authority, delivery: DueDelivery, signal: AbortSignal): Promise<Attempt> {
    if (!transport || !mail) return { kind: 'refused', why: 'mail is no longer in the configuration' }
    const { id } = delivery
    const sealed = authority.seal.open(delivery.payload, `delivery:${id}`)
    const payload = JSON.parse(sealed) as MailPayload
    const ended = await endedSessions(authority, payload)
    const link = (path: string, code: string | undefined) => code && `${issuer}${path}?code=${code}`
    const rendered = await renderMail({
      ...{ kind: payload.mail, issuerName: name, at: payload.at, app: payload.app, device: payload.device },
      ...{ ended: ended.slice(0, MAX_NAMED), more: Math.max(0, ended.length - MAX_NAMED) },
      notMeUrl: link('/not-me', payload.notMe),
      resetUrl: link('/reset', payload.reset),
    })
    const message = {
      ...rendered,
      from: mail.from,
      to: { name: '', address: payload.to },
      // The same over all attempts, so that a mail server can tell a second copy.
      messageId: `<${id}@${hostname}>`,
      date: new Date(authority.now()),
      headers: { 'Auto-Submitted': 'auto-generated' },
    }
    try {
      await before(signal, (await transport).sendMail(message))
      return { kind: 'delivered' }
    } catch (error) {
      const { code, responseCode = 0 } = error as { code?: string; responseCode?: number }
      const refused = (code === 'EENVELOPE' || code === 'EMESSAGE') && responseCode >= 500
      if (refused) return { kind: 'refused', why: `the mail server answered ${responseCode}` }
      if (responseCode > 0) return { kind: 'failed', why: `the mail server answered ${responseCode}` }
      throw error
    }
  }
  return { send, close: async () => (await transport)?.close() }
}

/** Resolves as `work` does, unless the signal fires before. */
function before<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work.then(resolve, reject)
  })
}

/** The sessions that a mail speaks of: the one that caused it, and those of the same kind that ended since. */
async function endedSessions(authority: Authority, { mail, sub, n }: MailPayload): Promise<EndedSession[]> {
  if (mail !== 'signed_out' && mail !== 'token_reuse') return []
  const filter = { event: 'revocation', sub, after: n - 1, limit: 100 }
  const records = (await authority.store.read({ kind: 'audit', filter })).filter(
    (record) => mailOfRevocation(record) === mail,
  )
  return Promise.all(
    records.map(async ({ at, reason, clientId = '' }) => {
      const client = await clientFacts(authority, clientId)
      return { at, reason: `${reason}`, app: client?.name ?? clientId }
    }),
  )
}
