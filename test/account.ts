import { signAdminToken } from '../packages/authority/src/admin.ts'
import type { AuditEvent } from '../packages/authority/src/domain/audit.ts'
import { createMailCode, mailCodeRecord, resetStateOf } from '../packages/authority/src/notify/mail-code.ts'
import { type Browser, createBrowser } from '../tools/browser.ts'
import { PERSON, type TestAuthority } from './setup.ts'

/* What people and administrators do to an account, as they do it. */

export async function subOf({ authority }: TestAuthority, email = PERSON.email): Promise<string> {
  return `${(await authority.store.read({ kind: 'account', email }))?.sub}`
}

/** A code as the mail with a link holds it. */
export async function mailedCode(
  { authority }: TestAuthority,
  { purpose, sub }: { purpose: 'reset' | 'not-me'; sub: string },
): Promise<string> {
  const { store, seal, now } = authority
  const code = createMailCode()
  const account = await store.read({ kind: 'account-by-sub', sub })
  if (!account) throw new Error('there is no such account')
  const what =
    purpose === 'reset' ? { purpose, sub, of: resetStateOf(account) } : { purpose, sub, to: account.email }
  const record = { op: 'put' as const, ...mailCodeRecord(seal, code, what, now()) }
  await store.transact({ kind: 'write', records: [record], audit: [], at: now() })
  return code
}

/** Follows a mailed link and sends the form of its page. */
export async function followLink(issuer: string, path: string, fields: Record<string, string> = {}) {
  const browser: Browser = createBrowser()
  const page = await browser.open(`${issuer}${path}`)
  if (page.status !== 200) return page
  return browser.submit(page, /^\/(reset|not-me|forgot)$/, fields)
}

export function send(
  issuer: string,
  path: string,
  accessToken: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(issuer + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

/** Sends a form as a page of ours would, or as another site would. */
export function sendForm(url: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
  return fetch(url, {
    method: 'POST',
    headers: { accept: 'text/html', ...headers },
    body: new URLSearchParams(fields),
    redirect: 'manual',
  })
}

export async function adminToken({ authority }: TestAuthority): Promise<string> {
  return signAdminToken(authority.ring(), authority.config.issuer, 'cli:test', authority.now())
}

/** The audit records of a kind, the oldest first. */
export async function audited({ authority }: TestAuthority, event: AuditEvent['event'], sub?: string) {
  return authority.store.read({ kind: 'audit', filter: { event, sub, limit: 10_000 } })
}
