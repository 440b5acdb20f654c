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
  const theirs = here?.account.sub === session.sub ? await personal(authority, here, session) : undefined
  const options = { issuerName, reason, at, code }
  sendHtml(res, 200, await endedPage({ ...options, ...(theirs ? { personal: theirs } : {}) }))
}

/** `GET /signed-out/sign-in?code=…`: the way to say that it was somebody else. */
export const endedSignInEndpoint: Handler = async (authority, _req, res, url) => {
  signInFirst(authority, res, '/signed-out', { maxAge: RECENT, state: url.searchParams.get('code') ?? '' })
}

/** `POST /signed-out/not-me`: somebody who has just proved who they are says that this was not them. */
export const endedNotMeEndpoint: Handler = async (authority, req, res) => {
  const form = await readOwnForm(authority.config.issuer, req)
  const code = form.get('code') ?? ''
  const session = await endedSession(authority, code)
  if (!session) return sendHtml(res, 410, await endedLongAgoPage({ issuerName: authority.config.name }))
  const here = await signedInHere(authority, req, res)
  const recent = here && authority.now() / 1000 - here.authTime <= RECENT
  if (!recent || here.account.sub !== session.sub)
    return signInFirst(authority, res, '/signed-out', { maxAge: RECENT, state: code })
  const { sub } = session
  const address = addressOf(req, authority.config.trustProxy)
  await compromise(authority, sub, `account:${sub}`, address, 'its owner says so, of a session that ended')
  sendHtml(res, 200, await notMeDonePage())
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
  { sid, sub, clientId, device }: EndedSession,
) {
  const { store } = authority
  const [names, devices, [record]] = await Promise.all([
    clientNames(authority, [clientId]),
    store.read({ kind: 'devices', sub }),
    store.read({ kind: 'audit', filter: { sub, sid, event: 'revocation', limit: 1 } }),
  ])
  const name = devices.find(({ id }) => id === device)?.name
  return {
    ...{ email: account.email, app: names.get(clientId) ?? clientId },
    ...(name === undefined ? {} : { device: name }),
    ...(record?.address === undefined ? {} : { address: record.address }),
  }
}
