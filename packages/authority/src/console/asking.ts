import type { IncomingMessage, ServerResponse } from 'node:http'
import { administers } from '../administrators.ts'
import type { Authority } from '../authority.ts'
import { RescindError } from '../errors.ts'
import { addressOf } from '../http/address.ts'
import { readOwnForm } from '../http/own-form.ts'
import { sendHtml } from '../http/respond.ts'
import { signedInHere, signInFirst } from '../oauth/signed-in.ts'
import { leftPage } from '../pages/signed-out.ts'
import type { Told } from '../pages/told.ts'
import { RECENT } from '../step-up.ts'
import { telling, toldIn } from '../told.ts'

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

/** What was asked for, as it comes back from a sign-in. */
const WANTED = /^(GET|POST) (\/admin(?:\/[\w-]{1,64}){0,3})$/

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
  const state = `${changes ? 'POST' : 'GET'} ${url.pathname}`
  if (!here) return welcome(authority, res, url, state)
  if (!administers(authority.config, here.account))
    throw new RescindError('ACCESS_DENIED', 'This is for administrators.')
  if (changes && authority.now() / 1000 - here.authTime > RECENT)
    return signInFirst(authority, res, '/admin', { maxAge: RECENT, state }) as undefined
  const address = addressOf(req, authority.config.trustProxy)
  return { authority, req, res, url, form, actor: `account:${here.account.sub}`, address, sub }
}

/** Whoever ended their own sign-in with all the others is told so before they sign in again. */
async function welcome(authority: Authority, res: ServerResponse, url: URL, state: string) {
  const told = toldIn(authority, url)
  if (!told) return signInFirst(authority, res, '/admin', { state }) as undefined
  sendHtml(res, 200, await leftPage({ issuerName: authority.config.name, told, back: '/admin' }))
  return undefined
}

/**
 * Where somebody who had to sign in first wanted to go. Whoever had sent a form comes back to the page that it was on, and
 * is told that it did nothing.
 */
export function wantedPath({ searchParams }: URL): { path: string; told?: Told } | undefined {
  const [, method, path] = WANTED.exec(searchParams.get('state') ?? '') ?? []
  if (path === undefined || path === '/admin') return undefined
  if (method === 'GET') return { path }
  const words = 'You have signed in again. Nothing was done yet: send the form once more.'
  return { path: path.replace(/^(\/admin\/(?:accounts\/[\w-]+|deliveries))\/\w+$/, '$1'), told: { words } }
}

/** Sends the browser to a page, which tells what was done. */
export function goTo({ authority, res, actor }: Asking, path: string, told?: Told): void {
  const location = told ? telling(authority, path, actor, told) : path
  res.writeHead(303, { location, 'content-length': 0, 'cache-control': 'no-store' }).end()
}

/** What was just done, if the address says so. */
export function done({ authority, url, actor }: Asking): { told?: Told } {
  const told = toldIn(authority, url, actor)
  return told ? { told } : {}
}

/** The words that go to the audit log. @throws RescindError VALIDATION_ERROR */
export function reasonIn({ form }: Asking): string {
  const reason = (form.get('reason') ?? '').trim()
  if (reason.length < 3 || reason.length > 500)
    throw new RescindError('VALIDATION_ERROR', 'Say why, in 3 to 500 characters.')
  return reason
}
