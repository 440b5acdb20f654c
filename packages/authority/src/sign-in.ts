import type { IncomingMessage } from 'node:http'
import { knowsPassword } from './accounts.ts'
import type { Authority } from './authority.ts'
import { networkOf } from './domain/network.ts'
import { guessedAt } from './domain/suspicion.ts'
import { RescindError } from './errors.ts'
import { type Verdict, verdictOf } from './hooks.ts'
import { addressOf } from './http/address.ts'
import type { Budget } from './limits.ts'
import { requestReset } from './mailed-links.ts'
import { deviceShown } from './oauth/device.ts'
import { RECENT } from './step-up.ts'
import type { Account } from './store/store.ts'

/** What is said of somebody who typed an e-mail and a password. */
export type Attempt =
  | {
      kind: 'in'
      account: Account
      /** When they proved who they are, in seconds (OIDC `auth_time`). */
      ts: number
      /** Whether it may be somebody else: then it proves nothing to what asks for a recent sign-in. */
      doubted: boolean
    }
  | { kind: 'refused'; status: number; message: string; retryAfter?: number }

export type Given = { email: string; password: string; clientId?: string }

const WRONG = 'That e-mail and password do not match. Check them and try again.'
const RESET =
  'This account needs a new password. We have mailed you a link to set one; the old password opens nothing any more.'
const DEACTIVATED = 'This account is deactivated. Ask whoever runs this service.'
const REFUSED = 'This sign-in was refused because it looks unusual. Ask whoever runs this service.'

/** How far back an account's places are known, in ms. */
const KNOWN_FOR = 90 * 24 * 60 * 60 * 1000

/**
 * Judges a sign-in: budgets, the password, the state of the account, and whether it looks like somebody else. All of it
 * is in the audit log.
 */
export async function attemptSignIn(
  authority: Authority,
  req: IncomingMessage,
  given: Given,
): Promise<Attempt> {
  const { store, limits, config } = authority
  // Before the account is read: a password that is changed meanwhile calls this sign-in off.
  const at = authority.now()
  const address = addressOf(req, config.trustProxy)
  const budgets: [Budget, string][] = [[limits.signInAddress, address]]
  let account: Account | undefined
  let known: Known
  try {
    limits.signInAddress.spend(address)
    account = await store.read({ kind: 'account', email: given.email })
    known = await knownTo(authority, req, account?.sub ?? '')
    const budget = budgetFor(authority, given.email, account, known)
    budget[0].spend(budget[1])
    budgets.push(budget)
  } catch (error) {
    if (!(error instanceof RescindError)) throw error
    return { kind: 'refused', status: error.status, message: error.message, retryAfter: error.retryAfter }
  }
  const right = await knowsPassword(account, given.password)
  const who = { at, actor: 'anonymous', sub: account?.sub, clientId: given.clientId, address }
  if (!account || !right) {
    if (account) authority.failures.add(account.sub, address)
    await store.transact({ kind: 'write', records: [], audit: [{ ...who, event: 'signin.failed' }], at })
    return { kind: 'refused', status: 401, message: WRONG }
  }
  for (const [budget, key] of budgets) budget.refund(key)
  const closed = await closedTo(authority, account, req)
  if (closed) return closed
  const verdict = await judge(authority, req, { account, at, clientId: given.clientId, known })
  if (verdict !== 'allow') {
    const detail = verdict === 'revoke' ? 'refused' : 'let in, not as a recent sign-in'
    await store.transact({
      kind: 'write',
      records: [],
      audit: [{ ...who, event: 'signin.suspicious', detail }],
      at,
    })
  }
  if (verdict === 'revoke') return { kind: 'refused', status: 403, message: REFUSED }
  // A password that was changed while this one was looked at opens nothing, however close the two were.
  const still = await store.read({ kind: 'account-by-sub', sub: account.sub })
  if (still?.password !== account.password || (await closedTo(authority, still, req)))
    return { kind: 'refused', status: 401, message: WRONG }
  const doubted = verdict === 'step-up'
  // What looks like the end of guessing is no recent sign-in.
  const proven = Math.floor(at / 1000) - (doubted ? RECENT + 1 : 0)
  // Not in the second in which every sign-in before was called off.
  const ts = Math.max(proven, Math.ceil((account.validAfter ?? 0) / 1000))
  return { kind: 'in', account, ts, doubted }
}

/**
 * Whoever guesses at an account from anywhere must not keep its owner out: where it was used from before there is a
 * budget of its own.
 */
function budgetFor(
  { limits }: Authority,
  email: string,
  account: Account | undefined,
  { by }: Known,
): [Budget, string] {
  if (account && by !== undefined) return [limits.signInKnown, `${account.sub} ${by}`]
  return [limits.signInAccount, email.toLowerCase()]
}

/** An account that its right password does not open. */
async function closedTo(authority: Authority, account: Account, req: IncomingMessage) {
  if (account.deactivatedAt !== undefined)
    return { kind: 'refused', status: 403, message: DEACTIVATED } as const
  if (!account.resetRequired) return undefined
  await requestReset(authority, account.sub, req)
  return { kind: 'refused', status: 403, message: RESET } as const
}

/** What the account knows of where a request comes from. */
type Known = {
  /** By what it is known: the device, or else the network that the account was used from. */
  by?: string
  /** Since when, in ms. */
  since?: number
  device?: string
  /** Where somebody signed in to it from most recently; not where an app’s server is. */
  previousAddress?: string
}

async function knownTo(authority: Authority, req: IncomingMessage, sub: string): Promise<Known> {
  const { store, now, config } = authority
  const [sessions, devices] = await Promise.all([
    store.read({ kind: 'account-sessions', sub, endedSince: now(), limit: 100 }),
    store.read({ kind: 'devices', sub }),
  ])
  const used = [
    ...sessions.flatMap(({ usedFrom: from, openedAt: since, refreshedAt: at }) =>
      from ? [{ address: from.address, since, at }] : [],
    ),
    ...devices.map(({ address, firstSeen: since, lastSeen: at }) => ({ address, since, at })),
  ]
  const places = used.filter(({ at }) => at > now() - KNOWN_FOR)
  const shown = deviceShown(authority, req, sub)
  const device = devices.find(({ id }) => id === shown)
  const network = networkOf(addressOf(req, config.trustProxy))
  const here = places.filter(({ address }) => networkOf(address) === network)
  const by = device?.id ?? (here.length > 0 ? network : undefined)
  const since = Math.min(...here.map((place) => place.since), device?.firstSeen ?? Number.POSITIVE_INFINITY)
  return {
    ...(by === undefined ? {} : { by, since }),
    ...(device === undefined ? {} : { device: device.id }),
    ...(devices[0] ? { previousAddress: devices[0].address } : {}),
  }
}

/** What our rules and the deployment's say of a right password; the stricter one counts. */
async function judge(
  { config, failures, hooks, log }: Authority,
  req: IncomingMessage,
  { account, at, clientId, known }: { account: Account; at: number; clientId?: string; known: Known },
): Promise<Verdict> {
  const { sub } = account
  const address = addressOf(req, config.trustProxy)
  const rule = config.suspicion.guessing
  const recent = failures.of(sub)
  const guessing = rule && { failures: rule.failures, within: rule.minutes * 60_000 }
  // Whoever got in by guessing has made a place known; what counts is what was known before.
  const owners = known.since !== undefined && known.since < (recent[0]?.at ?? at)
  const ours = guessing && !owners && guessedAt(recent, guessing, at)
  const facts = {
    ...{ sub, clientId, device: known.device, address, previousAddress: known.previousAddress, at },
    recentFailures: recent.length,
    userAgent: `${req.headers['user-agent'] ?? ''}`.slice(0, 500),
  }
  const theirs = await verdictOf(hooks.onSignIn?.bind(hooks), facts, log)
  return theirs === 'allow' && ours ? 'step-up' : theirs
}
