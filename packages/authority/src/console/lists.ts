import { exportLines } from '../admin-audit.ts'
import { carryOut, countFirst, readOrder } from '../admin-revocations.ts'
import { AUDIT_FILTERS, readAuditFilter } from '../audit-filter.ts'
import { newestRecords, shown } from '../audit-reading.ts'
import { EVENTS } from '../domain/audit.ts'
import { RescindError } from '../errors.ts'
import { guardsEverywhere } from '../everywhere.ts'
import { sendHtml } from '../http/respond.ts'
import { PAGES_CLIENT } from '../oauth/signed-in.ts'
import {
  auditPage,
  clientsPage,
  deliveriesPage,
  endManyPage,
  type ListedClient,
  servicesPage,
} from '../pages/console/lists.ts'
import { doneWith } from '../told.ts'
import { type Asking, done, goTo } from './asking.ts'

const PAGE = 100
const PATIENCE = 1_000
const DELIVERIES = 500

/** `GET /admin/clients` */
export async function showClients(asking: Asking): Promise<void> {
  const { authority, res } = asking
  const { config, store, seal } = authority
  // The client of our own pages holds nothing that could be ended.
  const known = config.clients.filter((one) => one.client_id !== PAGES_CLIENT)
  const configured = known.map(
    ({ client_id: id, client_name }): ListedClient => ({
      id,
      name: `${client_name ?? id}`,
      kind: 'configured',
    }),
  )
  const registered = (await store.read({ kind: 'records', model: 'Client' })).map(({ id, payload }) => {
    const registered = JSON.parse(seal.open(payload, `Client:${id}`)) as {
      client_id: string
      client_name?: string
    }
    return {
      id: registered.client_id,
      name: registered.client_name ?? registered.client_id,
      kind: 'registered' as const,
    }
  })
  const options = { issuerName: config.name, clients: [...configured, ...registered], ...done(asking) }
  sendHtml(res, 200, await clientsPage(options))
}

/** `GET /admin/services` */
export async function showServices({ authority, res }: Asking): Promise<void> {
  const { feed, config } = authority
  const guards = await guardsEverywhere(authority)
  const options = { issuerName: config.name, seq: feed.head.seq, guards }
  sendHtml(res, 200, await servicesPage(options))
}

/** `GET /admin/deliveries`: what was given up first, then what waits, then what was delivered. */
export async function showDeliveries(asking: Asking): Promise<void> {
  const { authority, res } = asking
  const { store, config } = authority
  const some = (state: 'dead' | 'waiting' | 'delivered') =>
    store.read({ kind: 'deliveries', state, limit: DELIVERIES })
  const [dead, waiting, delivered] = await Promise.all([some('dead'), some('waiting'), some('delivered')])
  const stuck = waiting.sort((a, b) => b.attempts - a.attempts)
  const deliveries = [...dead.reverse(), ...stuck, ...delivered.reverse()].slice(0, DELIVERIES)
  sendHtml(res, 200, await deliveriesPage({ issuerName: config.name, deliveries, ...done(asking) }))
}

/** `POST /admin/deliveries/replay`: one that was given up, or all of them. */
export async function replayDeliveries(asking: Asking): Promise<void> {
  const { authority, form } = asking
  const id = form.get('id')
  const at = authority.now()
  const { count } = await authority.store.transact({ kind: 'replay-deliveries', ...(id ? { id } : {}), at })
  goTo(asking, '/admin/deliveries', {
    words: `${count} ${count === 1 ? 'is' : 'are'} tried again.`,
  })
}

function givenIn({ url }: Asking): Record<string, string> {
  return Object.fromEntries(
    AUDIT_FILTERS.flatMap((name) => {
      const value = url.searchParams.get(name)?.trim()
      return value ? [[name, value]] : []
    }),
  )
}

/** `GET /admin/audit` */
export async function showAudit(asking: Asking): Promise<void> {
  const { authority, res, url } = asking
  const given = givenIn(asking)
  const page = { issuerName: authority.config.name, given, events: EVENTS }
  try {
    const cursor = url.searchParams.get('cursor')
    const before = cursor && /^[1-9]\d{0,14}$/.test(cursor) ? Number(cursor) : undefined
    const options = { limit: PAGE, before, patience: PATIENCE }
    const { records, next } = await newestRecords(authority.store, readAuditFilter(given), options)
    const found = { records: records.map(shown), ...(next === undefined ? {} : { next: `${next}` }) }
    sendHtml(res, 200, await auditPage({ ...page, ...found }))
  } catch (error) {
    if (!(error instanceof RescindError)) throw error
    sendHtml(res, error.status, await auditPage({ ...page, records: [], error: error.message }))
  }
}

/** `GET /admin/audit/export` */
export function exportAudit(asking: Asking): Promise<void> {
  asking.res.setHeader('content-disposition', 'attachment; filename="audit.jsonl"')
  return exportLines(asking.authority, readAuditFilter(givenIn(asking)), asking.res)
}

/** `GET /admin/end`: the form alone; a link may fill in the client. */
export async function showEndMany(asking: Asking): Promise<void> {
  const { authority, res, url } = asking
  const client = (url.searchParams.get('client') ?? '').slice(0, 2_000)
  const options = { issuerName: authority.config.name, client, before: '', reason: '', ...done(asking) }
  sendHtml(res, 200, await endManyPage(options))
}

/** `POST /admin/end`: counts, and ends only what was confirmed after the count. */
export async function endMany(asking: Asking): Promise<void> {
  const { authority, res, form, actor, address } = asking
  const [client = '', before = '', reason = ''] = ['client', 'before', 'reason'].map((name) =>
    (form.get(name) ?? '').trim(),
  )
  const page = { issuerName: authority.config.name, client, before, reason }
  try {
    const now = authority.now()
    const issuedBefore = before || (client ? undefined : new Date(now).toISOString())
    const what = { ...(client ? { client } : {}), ...(issuedBefore ? { issuedBefore } : {}), reason }
    const order = readOrder(what, now)
    if (form.get('confirmed') !== 'yes')
      return sendHtml(res, 200, await endManyPage({ ...page, count: await countFirst(authority, order) }))
    const { outcome } = await carryOut(authority, order, actor, address)
    goTo(asking, '/admin/end', await doneWith(authority, [outcome]))
  } catch (error) {
    if (!(error instanceof RescindError)) throw error
    sendHtml(res, error.status, await endManyPage({ ...page, error: error.message }))
  }
}
