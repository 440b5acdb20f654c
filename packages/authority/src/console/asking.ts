import type { IncomingMessage, ServerResponse } from 'node:http'
import { administers } from '../administrators.ts'
import type { Authority } from '../authority.ts'
import { RescindError } from '../errors.ts'
import { addressOf } from '../http/address.ts'
import { readOwnForm } from '../http/own-form.ts'
import { signedInHere, signInFirst } from '../oauth/signed-in.ts'
import { RECENT } from '../step-up.ts'

/** What an administrator asks of the console. */
export type Asking = {
  authority: Authority
  req: IncomingMessage
  res: ServerResponse
  url: URL
  /** The form that was sent; empty for a page that is only looked at. */
  form: Map<string, string>
  /** Who asks, for the audit log, and from where. */
  actor: string
  address: string
  /** The account that the path names. */
  sub: string
}

const CONSOLE_PATH = /^\/admin(\/[\w-]{1,64}){0,3}$/
const CONTEXT = 'console:told'
/** What was done is told for so long, in ms. */
const TOLD = 60_000

/**
 * Lets administrators through; for whatever changes something they have to have signed in a short while ago.
 * @returns nothing, when they were sent to the sign-in page
 * @throws RescindError ACCESS_DENIED
 */
export async function letIn(
  authority: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
  sub: string,
): Promise<Asking | undefined> {
  const changes = req.method === 'POST'
  const form = changes ? await readOwnForm(authority.config.issuer, req) : new Map<string, string>()
  const here = await signedInHere(authority, req, res)
  if (!here) return signInFirst(authority, res, '/admin', { state: url.pathname }) as undefined
  if (!administers(authority.config, here.account))
    throw new RescindError('ACCESS_DENIED', 'This is for administrators.')
  if (changes && authority.now() / 1000 - here.authTime > RECENT)
    return signInFirst(authority, res, '/admin', { maxAge: RECENT, state: url.pathname }) as undefined
  const address = addressOf(req, authority.config.trustProxy)
  return { authority, req, res, url, form, actor: `account:${here.account.sub}`, address, sub }
}

/** Where somebody who had to sign in first wanted to go. */
export function wantedPath({ searchParams }: URL): string | undefined {
  const path = searchParams.get('state')
  return path !== null && path !== '/admin' && CONSOLE_PATH.test(path) ? path : undefined
}

/** Sends the browser to a page, which tells what was done: sealed, so that nobody else makes it say something. */
export function goTo({ authority, res }: Asking, path: string, told?: string): void {
  const { seal, now } = authority
  const sealed = told && seal.close(JSON.stringify({ told, until: now() + TOLD }), CONTEXT)
  const location = sealed ? `${path}?told=${Buffer.from(sealed).toString('base64url')}` : path
  res.writeHead(303, { location, 'content-length': 0, 'cache-control': 'no-store' }).end()
}

/** What was just done, if the address says so. */
export function toldIn({ authority: { seal, now }, url }: Asking): { told?: string } {
  const sealed = url.searchParams.get('told')
  if (!sealed || sealed.length > 2_000) return {}
  try {
    const { told, until } = JSON.parse(seal.open(Buffer.from(sealed, 'base64url'), CONTEXT))
    return now() < until ? { told } : {}
  } catch {
    return {}
  }
}

/** The words that go to the audit log. @throws RescindError VALIDATION_ERROR */
export function reasonIn({ form }: Asking): string {
  const reason = (form.get('reason') ?? '').trim()
  if (reason.length < 3 || reason.length > 500)
    throw new RescindError('VALIDATION_ERROR', 'Say why, in 3 to 500 characters.')
  return reason
}
