import { compromise, deactivate, reactivate, reviewed } from './account-endings.ts'
import { reportInWords, reportOn } from './account-report.ts'
import { findAccount } from './admin-revocations.ts'
import { RescindError } from './errors.ts'
import type { Revoked } from './revoke.ts'
import type { Account, Store } from './store/store.ts'

/** The commands about what happened to an account. */
const COMMANDS = ['compromise', 'deactivate', 'reactivate', 'review', 'reviewed', 'report'] as const
export type AccountCommand = (typeof COMMANDS)[number]

export function isAccountCommand(action: string): action is AccountCommand {
  return (COMMANDS as readonly string[]).includes(action)
}

type Given = { who: string; reason: string | undefined; json: boolean; actor: string }

/**
 * Carries out `rescind accounts …` on the server; a running authority announces what it ended within half a second.
 * @param given.who an e-mail or an account's `sub`
 * @returns what to print
 * @throws RescindError NOT_FOUND, VALIDATION_ERROR (no reason was given)
 */
export async function accountCommand(command: AccountCommand, store: Store, given: Given): Promise<string> {
  const place = { store, now: Date.now }
  if (command === 'review') return listForReview(store)
  const account = await findAccount(store, given.who)
  const { email, sub } = account
  switch (command) {
    case 'compromise': {
      const outcome = await compromise(place, sub, given.actor, undefined, reasonOf(given))
      return `${ended(outcome)} The password of ${email} opens nothing until a new one is set through the link that is mailed.\nWhat happened to it: rescind accounts report ${email}`
    }
    case 'deactivate':
      return `${ended(await deactivate(place, sub, given.actor, undefined, reasonOf(given)))} Nobody can sign in as ${email}.`
    case 'reactivate':
      await reactivate(place, sub, given.actor, reasonOf(given))
      return `${email} can sign in again.`
    case 'report': {
      const report = await reportOn(place, account)
      return given.json ? JSON.stringify(report) : reportInWords(report)
    }
    case 'reviewed':
      await reviewed(place, sub, given.actor)
      return `${email} is marked for review no more.`
  }
}

function reasonOf({ reason }: Given): string {
  if (reason === undefined || reason.trim() === '' || reason.length > 500)
    throw new RescindError('VALIDATION_ERROR', 'Say why with --reason TEXT, in at most 500 characters.')
  return reason
}

function ended({ revocations }: Revoked): string {
  return `Ended ${revocations.length} ${revocations.length === 1 ? 'session' : 'sessions'}.`
}

async function listForReview(store: Store): Promise<string> {
  const lines: string[] = []
  for await (const { email, sub, reviewSince = 0 } of everyAccount(store, { review: true }))
    lines.push([email, sub, `since ${new Date(reviewSince).toISOString()}`].join('\t'))
  return lines.join('\n') || 'No account is marked for review.'
}

/** All accounts in the order in which they were added, or those that are marked for review. */
export async function* everyAccount(store: Store, which: { review?: true } = {}): AsyncGenerator<Account> {
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page: { accounts: Account[]; next?: number } = await store.read({
      ...{ kind: 'accounts', ...which, after, limit: 1_000 },
    })
    yield* page.accounts
    after = page.next
  }
}
