import type { Email } from 'postal-mime'
import { until } from '../packages/guard/test/peer.ts'
import type { TestAuthority } from './setup.ts'
import type { Mailbox } from './smtp.ts'

/* What people find in their mail. */

export const FROM = 'Example <no-reply@login.example>'

/** The mails to an address, the oldest first; not those about new devices, which each sign-in of a test causes. */
export function mailsTo({ mails }: Mailbox, address: string): Email[] {
  const theirs = mails.filter(({ to }) => to?.[0]?.address?.toLowerCase() === address.toLowerCase())
  return theirs.filter(({ subject }) => !subject?.startsWith('New sign-in'))
}

/** The `n`th mail to an address, once it is there. */
export async function mailTo(mailbox: Mailbox, address: string, n = 1): Promise<Email> {
  await until(() => mailsTo(mailbox, address).length >= n)
  return mailsTo(mailbox, address)[n - 1] as Email
}

/** The path of the link in a mail, with its code; nothing when it has none. */
export function linkIn({ text = '' }: Email, what: 'reset' | 'not-me'): string {
  return new RegExp(`/${what}\\?code=[\\w-]{43}(?![\\w-])`).exec(text)?.[0] ?? ''
}

let witnesses = 0

/** Once everything that happened so far has been made into mails: one for a witness, who comes after it, has arrived. */
export async function planned({ authority }: TestAuthority, mailbox: Mailbox): Promise<void> {
  const { store, now } = authority
  const at = now()
  const email = `witness-${++witnesses}-${mailbox.port}@example.com`
  const account = { sub: email, email, name: 'W', password: '', createdAt: at }
  const who = { at, actor: 'test', sub: email }
  await store.transact({ kind: 'add-account', account, audit: { ...who, event: 'account.created' } })
  const seen = { ...who, event: 'device.added' as const }
  await store.transact({ kind: 'write', records: [], audit: [seen], at })
  await until(() => mailbox.mails.some(({ to }) => to?.[0]?.address === email))
}
