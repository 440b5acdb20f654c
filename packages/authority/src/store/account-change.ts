import type { Account, AccountChange } from './store.ts'

/** What speaks against a change of an account: nothing of it is written then. */
export function conflictOf(
  { sub, expect = {}, email }: AccountChange,
  now: Account | undefined,
  ofEmail: (email: string) => Account | undefined,
): string | undefined {
  if (!now) return 'Account'
  const expected = Object.entries(expect) as [keyof Account, unknown][]
  if (expected.some(([what, value]) => now[what] !== value)) return 'Expected'
  const other = email === undefined ? undefined : ofEmail(email)
  return other && other.sub !== sub ? 'Email' : undefined
}

/** The account as it is after a change; what the change does not name stays. */
export function changed(now: Account, change: AccountChange): Account {
  const { email = now.email, password = now.password } = change
  const resetRequired = change.resetRequired ?? now.resetRequired ?? false
  // The browser that may stay belongs to the moment that was named with it.
  const { validAfter, validBrowser } = change.validAfter === undefined ? now : change
  const reviewSince = change.reviewSince === undefined ? now.reviewSince : change.reviewSince
  const deactivatedAt = change.deactivatedAt === undefined ? now.deactivatedAt : change.deactivatedAt
  const { sub, name, createdAt } = now
  return {
    ...{ sub, email, name, password, createdAt },
    ...(validAfter === undefined ? {} : { validAfter }),
    ...(validBrowser === undefined ? {} : { validBrowser }),
    ...(resetRequired ? { resetRequired } : {}),
    ...(reviewSince == null ? {} : { reviewSince }),
    ...(deactivatedAt == null ? {} : { deactivatedAt }),
  }
}
