import { z } from 'zod'
import type { Authority } from './authority.ts'
import type { Config } from './config.ts'
import { REASONS, type Reason } from './domain/reason.ts'
import type { RevocationRequest } from './domain/revocation.ts'
import { hashSecret } from './domain/secret.ts'
import { RescindError } from './errors.ts'
import { revoke } from './revoke.ts'
import type { Account, RevokeOutcome, Store } from './store/store.ts'
import { validate } from './v1.ts'

/* What administrators end: one order for the endpoint and for the command line. */

export type Place = Pick<Authority, 'store' | 'now'> & { config: Pick<Config, 'clients'> }

const PAGE = 2_000
/** The answer to a mass revocation waits so long for its numbers, in ms: it is durable by then. */
const COUNT_FOR = 250
/** Nothing was issued before: who names a smaller number has counted in seconds. */
const YEAR_2000 = Date.UTC(2000, 0, 1)
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/

/** The words that go to the audit log. */
export const words = z.string().trim().min(3).max(500)
const target = z.string().min(1).max(2_000).optional()
const input = z.strictObject({
  session: target,
  device: target,
  account: target,
  client: target,
  issuedBefore: z.union([z.string(), z.number()]).optional(),
  reason: words,
  why: z.enum(REASONS).optional(),
  dryRun: z.boolean().optional(),
})
const TARGETS = ['session', 'device', 'account', 'client', 'issuedBefore'] as const

export type Order = {
  session?: string
  device?: string
  account?: string
  client?: string
  /** In ms. */
  issuedBefore?: number
  words: string
  why: Reason
  dryRun: boolean
}

/** Of a mass revocation among very many sessions nothing: the answer does not wait for it. */
export type Counts = { sessions?: number; accounts?: number; clients?: number }

/**
 * Reads what is to end.
 * @param now the time in ms
 * @throws RescindError VALIDATION_ERROR
 */
export function readOrder(body: unknown, now: number): Order {
  const { reason, why = 'admin_forced', dryRun = false, issuedBefore, ...targets } = validate(input, body)
  const order = { ...targets, words: reason, why, dryRun }
  const named = TARGETS.filter(
    (name) => (name === 'issuedBefore' ? issuedBefore : targets[name]) !== undefined,
  )
  if (named.length !== 1 && named.join() !== 'client,issuedBefore')
    throw new RescindError(
      'VALIDATION_ERROR',
      `Name one of ${TARGETS.map((name) => `\`${name}\``).join(', ')}; only \`client\` and \`issuedBefore\` go together.`,
    )
  return issuedBefore === undefined ? order : { ...order, issuedBefore: readTime(issuedBefore, now) }
}

function readTime(given: string | number, now: number): number {
  const before = typeof given === 'number' ? given : ISO.test(given) ? Date.parse(given) : Number.NaN
  if (!Number.isInteger(before) || before < YEAR_2000)
    throw new RescindError(
      'VALIDATION_ERROR',
      '`issuedBefore` must be a time such as 2026-07-31T12:00:00Z, or milliseconds since 1970.',
    )
  if (before > now)
    throw new RescindError(
      'VALIDATION_ERROR',
      '`issuedBefore` lies in the future; name a time that has passed.',
    )
  return before
}

/**
 * Counts what an order would end, and changes nothing.
 * @throws RescindError NOT_FOUND
 */
export async function countFirst(place: Place, order: Order): Promise<Required<Counts>> {
  const { store, now } = place
  const { by } = await resolve(place, order)
  if (by.kind === 'issued-before')
    return (await countCutOff(store, { ...by, seq: Infinity }, Infinity)) as Required<Counts>
  const sessions =
    by.kind === 'session'
      ? [await store.read({ kind: 'session', sid: by.sid })]
      : await store.read({ kind: 'account-sessions', sub: by.sub, endedSince: now(), limit: 10_000 })
  const { device } = by.kind === 'account' ? by : {}
  const live = sessions.filter((one) => one && !one.ended && (device ?? one.device) === one.device)
  return tally(live as { sub: string; clientId: string }[])
}

/**
 * Ends what an order names; it is durable when it resolves.
 * @param address where it comes from, for the audit record
 * @throws RescindError NOT_FOUND, UNAVAILABLE
 */
export async function carryOut(place: Place, order: Order, actor: string, address?: string) {
  const { by, account } = await resolve(place, order)
  const change = account && { sub: account.sub, validAfter: place.now() }
  const options = { reason: order.why, words: order.words, ...(change ? { account: change } : {}) }
  const outcome = found(await revoke(place, by, actor, address, options))
  return { outcome, counts: await countEnded(place.store, by, outcome) }
}

/** @throws RescindError NOT_FOUND: what it names has gone meanwhile */
function found(outcome: RevokeOutcome): Extract<RevokeOutcome, { kind: 'revoked' | 'already' }> {
  if (outcome.kind === 'revoked' || outcome.kind === 'already') return outcome
  throw unknown('account or session')
}

type By = Extract<RevocationRequest['by'], { kind: 'session' | 'account' | 'issued-before' }>

async function resolve({ store, config, now }: Place, order: Order): Promise<{ by: By; account?: Account }> {
  const { session, device, account, client, issuedBefore } = order
  if (session !== undefined) {
    if (!(await store.read({ kind: 'session', sid: session }))) throw unknown('session')
    return { by: { kind: 'session', sid: session } }
  }
  if (device !== undefined) {
    const owned = await store.read({ kind: 'device', id: device })
    if (!owned) throw unknown('device')
    return { by: { kind: 'account', sub: owned.sub, device } }
  }
  if (account !== undefined) {
    const meant = await findAccount(store, account)
    return { by: { kind: 'account', sub: meant.sub }, account: meant }
  }
  if (client !== undefined && !(await knownClient(store, config, client))) throw unknown('client')
  const of = client === undefined ? {} : { clientId: client }
  // What is issued in this very millisecond is meant too.
  return { by: { kind: 'issued-before', before: issuedBefore ?? now() + 1, ...of } }
}

/**
 * The account of an e-mail or a `sub`.
 * @throws RescindError NOT_FOUND
 */
export async function findAccount(store: Store, who: string): Promise<Account> {
  const account = who.includes('@')
    ? await store.read({ kind: 'account', email: who })
    : await store.read({ kind: 'account-by-sub', sub: who })
  if (!account) throw unknown('account')
  return account
}

/** One of the configuration, one that registered itself, or one that has ever had a session. */
async function knownClient(store: Store, config: Place['config'], clientId: string): Promise<boolean> {
  if (config.clients.some(({ client_id }) => client_id === clientId)) return true
  if (await store.read({ kind: 'record', model: 'Client', id: hashSecret(clientId) })) return true
  return (await store.read({ kind: 'list-sessions', clientId, limit: 1 })).sessions.length > 0
}

async function countEnded(
  store: Store,
  by: By,
  outcome: Extract<RevokeOutcome, { kind: 'revoked' | 'already' }>,
): Promise<Counts> {
  const revocations = outcome.kind === 'revoked' ? outcome.revocations : []
  const [cutOff] = revocations
  if (by.kind === 'issued-before' && cutOff?.what === 'cut_off') return countCutOff(store, cutOff, COUNT_FOR)
  return tally(revocations.flatMap((one) => (one.what === 'cut_off' ? [] : [one])))
}

/** Page by page, so that nobody waits behind it. */
async function countCutOff(
  store: Store,
  { seq, before, clientId }: { seq: number; before: number; clientId?: string },
  forMs: number,
): Promise<Counts> {
  const start = performance.now()
  const cutOff = { seq, before, ...(clientId === undefined ? {} : { clientId }) }
  const [accounts, clients] = [new Set<string>(), new Set<string>()]
  let sessions = 0
  for (let after = 0; ; ) {
    const page = await store.read({ kind: 'cut-off-sessions', cutOff, after, limit: PAGE })
    if (page.next === after) return { sessions, accounts: accounts.size, clients: clients.size }
    if (performance.now() - start > forMs) return {}
    after = page.next
    sessions += page.sessions
    for (const sub of page.subs) accounts.add(sub)
    for (const id of page.clientIds) clients.add(id)
  }
}

function tally(ended: { sub: string; clientId: string }[]): Required<Counts> {
  return {
    sessions: ended.length,
    accounts: new Set(ended.map(({ sub }) => sub)).size,
    clients: new Set(ended.map(({ clientId }) => clientId)).size,
  }
}

function unknown(what: string): RescindError {
  return new RescindError('NOT_FOUND', `There is no such ${what}.`)
}
