import type { Authority } from '../authority.ts'
import type { AuditRecord } from '../domain/audit.ts'
import type { MailKind, Notice } from '../domain/notices.ts'
import { hashSecret } from '../domain/secret.ts'
import type { Delivery, NewDelivery, NewRecord } from '../store/deliveries.ts'
import type { Account } from '../store/store.ts'
import type { ClientFacts } from './clients.ts'
import { deliveryId } from './delivery-id.ts'
import { createMailCode, mailCodeRecord, resetStateOf } from './mail-code.ts'

/** What a mail is made of when it is sent. */
export type MailPayload = {
  to: string
  mail: MailKind
  sub: string
  /** The record that caused it; a mail that gathers speaks of those after it too. */
  n: number
  at: number
  /** Codes for its links. */
  notMe?: string
  reset?: string
  app?: string
  device?: string
}

const HOUR = 60 * 60 * 1000

/**
 * Mails to one address, and about one account, in an hour. What a person needs to get back in has a budget of its own,
 * and so has what a stranger can cause: many sign-ins must not use up the news of what comes after them.
 */
const URGENT: readonly string[] = ['compromised', 'reset']
const BUDGETS: { mails: readonly string[]; anHour: number }[] = [
  // Anybody can ask for a reset: that must not use up what tells an owner that the account was secured.
  { mails: ['compromised'], anHour: 5 },
  { mails: ['reset'], anHour: 5 },
  { mails: ['new_device', 'suspicious_signin'], anHour: 5 },
]
const OTHERS = { mails: [] as readonly string[], anHour: 10 }

/** Mails that wait a moment, so that several of their kind become one. */
const GATHERS: readonly string[] = ['signed_out', 'token_reuse']
export const GATHER_FOR = 30_000
/** Nearer than this to its time a mail may be on its way already, in ms. */
const TOO_LATE_TO_JOIN = 2_000

type MailNotice = Extract<Notice, { kind: 'mail' }>
type Cause = { record: AuditRecord; client: ClientFacts | undefined }

/** Adds mails to a plan, as far as their budgets go. What is over budget is dropped, logged and counted. */
export function createMailPlanner(
  authority: Authority,
  plan: { deliveries: NewDelivery[]; records: NewRecord[] },
) {
  const { store, seal, log, now } = authority

  return async ({ mail, sub }: MailNotice, { record, client }: Cause): Promise<void> => {
    const account = await store.read({ kind: 'account-by-sub', sub })
    if (!account) return
    for (const to of new Set([account.email, ...formerAddress(record)])) {
      const target = hashSecret(to.toLowerCase())
      const stored = await store.read({ kind: 'mail-history', target, sub, since: now() - HOUR })
      const planned = plan.deliveries.filter((one) => one.kind === 'mail')
      const recent = [...stored, ...planned.map(asDelivery)]
      if (GATHERS.includes(mail) && recent.some((one) => joins(one, mail, target, now()))) continue
      if (!affords(recent, mail, target, sub)) {
        log.warn({ mail, sub }, 'a mail was dropped: too many in an hour')
        authority.notices.dropped(mail)
        continue
      }
      queue({ mail, sub, to, target, record, client, account })
    }
  }

  function queue({ mail, sub, to, target, record, client, account }: Cause & MailNoticeTo) {
    const at = now()
    const id = deliveryId(record, 'mail', target)
    const payload: MailPayload = { to, mail, sub, n: record.n, at: record.at }
    const { sid } = record
    if (URGENT.includes(mail)) payload.reset = code({ purpose: 'reset', sub, of: resetStateOf(account) })
    // Whoever has taken an account over is not given a link by way of the new address.
    else if (mail !== 'email_changed' || to !== account.email) {
      payload.notMe = code({ purpose: 'not-me', sub, to, ...(sid === undefined ? {} : { sid }) })
    }
    if (client) payload.app = client.name
    if (record.event === 'device.added' && record.detail) payload.device = record.detail
    plan.deliveries.push({
      ...{ id, kind: 'mail', topic: mail, target, lane: 'mail', sub, n: record.n },
      payload: seal.close(JSON.stringify(payload), `delivery:${id}`),
      nextAt: GATHERS.includes(mail) ? at + GATHER_FOR : at,
    })
  }

  function code(what: Parameters<typeof mailCodeRecord>[2]): string {
    const fresh = createMailCode()
    plan.records.push(mailCodeRecord(seal, fresh, what, now()))
    return fresh
  }
}

type MailNoticeTo = { mail: MailKind; sub: string; to: string; target: string; account: Account }

/** The address that an account had before has to hear of it most of all. */
function formerAddress({ event, detail }: AuditRecord): string[] {
  if (event !== 'account.email_changed') return []
  // All of it or nothing: a part of an odd address is somebody else's.
  const former = /^from ([^\s@<>,;"]{1,64}@[^\s@<>,;"]{1,189})$/.exec(detail ?? '')?.[1]
  return former === undefined ? [] : [former]
}

function joins(one: Recent, mail: MailKind, target: string, now: number): boolean {
  const same = one.topic === mail && one.target === target
  return same && one.state === 'waiting' && one.attempts === 0 && one.nextAt > now + TOO_LATE_TO_JOIN
}

function affords(recent: Recent[], mail: MailKind, target: string, sub: string): boolean {
  const budget = budgetOf(mail)
  const alike = recent.filter((one) => budgetOf(one.topic) === budget)
  return (
    alike.filter((one) => one.target === target).length < budget.anHour &&
    alike.filter((one) => one.sub === sub).length < budget.anHour
  )
}

function budgetOf(mail: string) {
  return BUDGETS.find(({ mails }) => mails.includes(mail)) ?? OTHERS
}

type Recent = Pick<Delivery, 'topic' | 'target' | 'sub' | 'state' | 'attempts' | 'nextAt'>

function asDelivery({ topic, target, sub, nextAt }: NewDelivery): Recent {
  return { topic, target, sub, state: 'waiting', attempts: 0, nextAt }
}
