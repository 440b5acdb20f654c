import type { IncomingMessage, ServerResponse } from 'node:http'
import { compromise } from './account-endings.ts'
import type { Authority } from './authority.ts'
import { clientNames } from './client-names.ts'
import type { Session } from './domain/session.ts'
import { readEndedCode } from './ended-code.ts'
import { addressOf } from './http/address.ts'
import { readOwnForm } from './http/own-form.ts'
import { sendHtml } from './http/respond.ts'
import { type SignedIn, signedInHere, signInFirst } from './oauth/signed-in.ts'
import { endedLongAgoPage, endedPage } from './pages/ended.ts'
import { notMeDonePage } from './pages/not-me.ts'
import { RECENT } from './step-up.ts'
import { doneWith } from './told.ts'

/*
 * `/signed-out`: why a session ended, for whoever brings a code that names it. The code is sealed by us and short-lived, so
 * nobody can make the page say anything, and it tells nothing personal before the person has signed in.
 */

type Handler = (authority: Authority, req: IncomingMessage, res: ServerResponse, url: URL) => Promise<void>

/** `GET /signed-out?code=…`; back from a sign-in the code is the `state`. */
export const endedPageEndpoint: Handler = async (authority, req, res, url) => {
  const { name: issuerName } = authority.config
  const code = url.searchParams.get('code') ?? url.searchParams.get('state') ?? ''
  const session = await endedSession(authority, code)
  if (!session) return sendHtml(res, 410, await endedLongAgoPage({ issuerName }))
  const { reason, at } = session.ended
  const here = await signedInHere(authority, req, res)
  const options = { issuerName, reason, at, code }
  if (!here) return sendHtml(res, 200, await endedPage(options))
  const whose = isStranger(here, session)
    ? { stranger: here.account.email }
    : { personal: await personal(authority, here, session) }
  sendHtml(res, 200, await endedPage({ ...options, ...whose }))
}

/** `GET /signed-out/sign-in?code=…`: the way to say that it was somebody else. */
export const endedSignInEndpoint: Handler = async (authority, req, res, url) => {
  const { name: issuerName } = authority.config
  const code = url.searchParams.get('code') ?? ''
  const session = await endedSession(authority, code)
  if (!session) return sendHtml(res, 410, await endedLongAgoPage({ issuerName }))
  askOwner(authority, res, code, isStranger(await signedInHere(authority, req, res), session))
}

/** `POST /signed-out/not-me`: somebody who has just proved who they are says that this was not them. */
export const endedNotMeEndpoint: Handler = async (authority, req, res) => {
  const form = await readOwnForm(authority.config.issuer, req)
  const code = form.get('code') ?? ''
  const session = await endedSession(authority, code)
  if (!session) return sendHtml(res, 410, await endedLongAgoPage({ issuerName: authority.config.name }))
  const here = await signedInHere(authority, req, res)
  const recent = here && authority.now() / 1000 - here.authTime <= RECENT
  const stranger = isStranger(here, session)
  if (!recent || stranger) return askOwner(authority, res, code, stranger)
  const { sub } = session
  const address = addressOf(req, authority.config.trustProxy)
  const words = 'its owner says so, of a session that ended'
  const outcome = await compromise(authority, sub, `account:${sub}`, address, words)
  const { name: issuerName } = authority.config
  sendHtml(res, 200, await notMeDonePage({ issuerName, done: await doneWith(authority, [outcome]) }))
}

/** Sends them to the sign-in; whoever is there with another account would walk through without being asked. */
function askOwner(authority: Authority, res: ServerResponse, code: string, stranger: boolean) {
  signInFirst(authority, res, '/signed-out', { maxAge: RECENT, state: code, asOther: stranger })
}

function isStranger(here: SignedIn | undefined, { sub }: EndedSession): boolean {
  return here !== undefined && here.account.sub !== sub
}

type EndedSession = Session & { ended: NonNullable<Session['ended']> }

async function endedSession(authority: Authority, code: string): Promise<EndedSession | undefined> {
  const sid = readEndedCode(authority, code)
  const session = sid === undefined ? undefined : await authority.store.read({ kind: 'session', sid })
  return session?.ended ? (session as EndedSession) : undefined
}

async function personal(
  authority: Authority,
  { account }: SignedIn,
  { sid, sub, clientId, device, openedAt }: EndedSession,
) {
  const { store } = authority
  const [names, devices, [record]] = await Promise.all([
    clientNames(authority, [clientId]),
    store.read({ kind: 'devices', sub }),
    store.read({ kind: 'audit', filter: { sub, sid, event: 'revocation', limit: 1 } }),
  ])
  const name = devices.find(({ id }) => id === device)?.name
  return {
    ...{ email: account.email, app: names.get(clientId) ?? clientId, openedAt },
    ...(name === undefined ? {} : { device: name }),
    ...(record?.address === undefined ? {} : { address: record.address }),
  }
}
