import type { Authority } from '../authority.ts'
import type { AuditRecord } from '../domain/audit.ts'
import type { Notice } from '../domain/notices.ts'
import type { DeliveryKind, NewDelivery, NewRecord } from '../store/deliveries.ts'
import type { ClientFacts } from './clients.ts'
import { deliveryId } from './delivery-id.ts'
import { createMailPlanner } from './plan-mail.ts'

/** What is written for a page of the audit log. */
export type Plan = { deliveries: NewDelivery[]; records: NewRecord[] }

export type Caused = { notice: Notice; record: AuditRecord; client: ClientFacts | undefined }

/** What a webhook is sent: the body as it will be signed. */
export type WebhookPayload = { url: string; body: string }
export type LogoutPayload = { clientId: string; uri: string; sub: string; sid: string }

/** Makes deliveries of notices: one for each receiver. */
export async function planDeliveries(authority: Authority, caused: Caused[]): Promise<Plan> {
  const { config } = authority
  const plan: Plan = { deliveries: [], records: [] }
  const planMail = createMailPlanner(authority, plan)
  for (const one of caused) {
    const { notice, record } = one
    if (notice.kind === 'mail') {
      if (config.mail) await planMail(notice, one)
    } else if (notice.kind === 'backchannel_logout') {
      const uri = one.client?.backchannelUri
      if (uri === undefined) continue
      const { clientId, sub, sid } = notice
      const payload: LogoutPayload = { clientId, uri, sub, sid }
      const topic = 'session.ended'
      plan.deliveries.push(toUrl(authority, record, { kind: notice.kind, topic, url: uri, payload }))
    } else {
      const { type: topic, timestamp, data } = notice
      const body = JSON.stringify({ type: topic, timestamp, data })
      for (const { url, events } of config.webhooks) {
        if (events && !events.includes(topic)) continue
        const payload: WebhookPayload = { url, body }
        plan.deliveries.push(toUrl(authority, record, { kind: 'webhook', topic, url, payload }))
      }
    }
  }
  return plan
}

function toUrl(
  { seal, now }: Authority,
  record: AuditRecord,
  { kind, topic, url, payload }: { kind: DeliveryKind; topic: string; url: string; payload: unknown },
): NewDelivery {
  const { origin, pathname, host } = new URL(url)
  const id = deliveryId(record, kind, url)
  return {
    ...{ id, kind, topic, n: record.n, sub: record.sub },
    // What stands in the query may be a secret.
    target: `${origin}${pathname}`,
    lane: host,
    payload: seal.close(JSON.stringify(payload), `delivery:${id}`),
    nextAt: now(),
  }
}
