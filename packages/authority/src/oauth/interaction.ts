import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authority } from '../authority.ts'
import { addressOf } from '../http/address.ts'
import { readForm } from '../http/body.ts'
import { refuseForeignForm } from '../http/own-form.ts'
import { sendHtml } from '../http/respond.ts'
import { consentPage } from '../pages/consent.ts'
import { errorPage } from '../pages/error.ts'
import { signInPage } from '../pages/sign-in.ts'
import { attemptSignIn } from '../sign-in.ts'
import { PASSWORD_ACR } from './acr.ts'
import { rememberDevice } from './device.ts'
import { newGrant } from './grant.ts'
import { errors } from './library.ts'
import { inUnit, type Unit } from './unit.ts'

/*
 * The steps that a person takes in the browser: sign in, allow. Plain forms; each step is kept by the protocol
 * library under a cookie that only this browser has, and its result is committed before the browser goes on.
 */

/** Serves `/interaction/{uid}` and its forms. */
export async function interactionEndpoint(
  authority: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  [uid, step]: string[],
): Promise<void> {
  const { provider } = authority.provider()
  await inUnit(async (unit) => {
    const interaction = await provider.interactionDetails(req, res).catch((error: unknown) => {
      if (error instanceof errors.SessionNotFound) return undefined
      throw error
    })
    if (!interaction || interaction.uid !== uid) {
      const message =
        'It was finished already, took too long, or was begun in another browser. Start again in the app.'
      const { name: issuerName } = authority.config
      return sendHtml(res, 400, await errorPage({ issuerName, title: 'This sign-in has expired', message }))
    }
    const client = await provider.Client.find(`${interaction.params.client_id}`)
    const clientName = client?.clientName ?? `${interaction.params.client_id}`
    const here = { authority, req, res, unit, uid: uid as string, interaction, clientName, client }
    if (req.method === 'GET') return show(here)
    refuseForeignForm(authority.config.issuer, req)
    if (step === 'login') return login(here)
    if (step === 'consent') return consent(here)
    return finish(here, { error: 'access_denied', error_description: 'the person did not go on' })
  })
}

type Provider = ReturnType<Authority['provider']>['provider']
type Here = {
  authority: Authority
  req: IncomingMessage
  res: ServerResponse
  unit: Unit
  uid: string
  interaction: Awaited<ReturnType<Provider['interactionDetails']>>
  clientName: string
  client: Awaited<ReturnType<Provider['Client']['find']>>
}

/** Why somebody who is signed in is asked for the password all the same, in the library's words and in ours. */
const AGAIN = ['max_age', 'max_age_passed', 'acr_values']
const WHY_AGAIN =
  'You are signed in. For what comes next your password is asked for once more, so that nobody else who finds this browser open can do it.'
const WHY_OTHER = 'You are asked to sign in again, with the account that this is about.'
const WHY_ENDED = 'A session in this browser was ended, so please sign in again.'

/** What a page for the password says and shows, whether it is the first or comes after an error. */
async function asking({ authority, uid, interaction, clientName }: Here) {
  const { prompt, params, session } = interaction
  const { reasons } = prompt
  const ended = reasons.includes('session_ended')
  const again = session?.accountId !== undefined && !ended && reasons.some((one) => AGAIN.includes(one))
  const sub = again ? session?.accountId : undefined
  const account = sub && (await authority.store.read({ kind: 'account-by-sub', sub }))
  const hint = typeof params.login_hint === 'string' ? params.login_hint.slice(0, 254) : undefined
  return {
    ...{ issuerName: authority.config.name, clientName, again },
    ...{ action: `/interaction/${uid}/login`, cancelAction: `/interaction/${uid}/cancel` },
    email: account ? account.email : hint,
    reason: again ? WHY_AGAIN : ended ? WHY_ENDED : session?.accountId ? WHY_OTHER : undefined,
  }
}

async function show(here: Here) {
  const { authority, res, uid, interaction, clientName, client } = here
  const { prompt, params, session } = interaction
  const action = (step: string) => `/interaction/${uid}/${step}`
  if (prompt.name === 'login') return sendHtml(res, 200, await signInPage(await asking(here)))
  const account = await authority.store.read({ kind: 'account-by-sub', sub: session?.accountId ?? '' })
  const resource = [params.resource].flat()[0]
  const known = authority.config.resources.find((one) => one.resource === resource)
  const html = await consentPage({
    issuerName: authority.config.name,
    action: action('consent'),
    cancelAction: action('cancel'),
    clientName,
    clientUri: client?.clientUri,
    redirectHost: returnsTo(`${params.redirect_uri}`),
    accountEmail: account?.email ?? '',
    scopes: asked(interaction).map((name) => ({ name, description: describe(name, known?.scopes) })),
    resource: known?.name,
  })
  return sendHtml(res, 200, html)
}

/** Whom the answer goes to. Only for the web is the host what decides; an app's scheme says which app it is. */
function returnsTo(redirectUri: string): string {
  const url = URL.parse(redirectUri)
  return url && /^https?:$/.test(url.protocol) ? url.host : `the app ${url?.protocol ?? redirectUri}`
}

function asked(interaction: Here['interaction']): string[] {
  return `${interaction.params.scope ?? ''}`.split(' ').filter(Boolean)
}

const OIDC_DESCRIPTIONS: Record<string, string> = {
  openid: 'Know who you are',
  profile: 'See your name',
  email: 'See your e-mail address',
  offline_access: 'Stay signed in until you log out',
}

function describe(scope: string, ofResource: Record<string, string> | undefined): string {
  const known = [ofResource, OIDC_DESCRIPTIONS].find((one) => one && Object.hasOwn(one, scope))
  return known?.[scope] ?? scope
}

async function login(here: Here) {
  const { authority, req, res, unit } = here
  const form = await readForm(req)
  const email = (form.get('email') ?? '').trim().slice(0, 254)
  const refuse = async (status: number, error: string) => {
    sendHtml(res, status, await signInPage({ ...(await asking(here)), email, error }))
  }
  const clientId = here.client?.clientId
  const attempt = await attemptSignIn(authority, req, {
    ...{ email, password: form.get('password') ?? '', clientId },
  })
  if (attempt.kind === 'refused') {
    if (attempt.retryAfter !== undefined) res.setHeader('retry-after', String(attempt.retryAfter))
    return refuse(attempt.status, attempt.message)
  }
  const { sub } = attempt.account
  const at = authority.now()
  const address = addressOf(req, authority.config.trustProxy)
  unit.audit.push({ event: 'signin.succeeded', at, actor: `account:${sub}`, sub, clientId, address })
  rememberDevice(authority, req, res)
  const how = { amr: ['pwd'], ...(attempt.doubted ? {} : { acr: PASSWORD_ACR }), ts: attempt.ts }
  return finish(here, { login: { accountId: sub, remember: true, ...how } })
}

async function consent(here: Here) {
  const { authority, interaction } = here
  const accountId = interaction.session?.accountId
  if (interaction.prompt.name !== 'consent' || !accountId) {
    return finish(here, { error: 'access_denied', error_description: 'sign in first' })
  }
  const scopes = asked(interaction)
  const ofResources = [interaction.params.resource].flat().map((resource) => {
    const known = authority.config.resources.find((one) => one.resource === resource)
    return [`${resource}`, scopes.filter((scope) => known && Object.hasOwn(known.scopes, scope))] as const
  })
  const grant = await newGrant(authority, authority.provider().provider, {
    accountId,
    clientId: `${interaction.params.client_id}`,
    oidcScopes: scopes.filter((scope) => Object.hasOwn(OIDC_DESCRIPTIONS, scope)),
    resourceScopes: Object.fromEntries(ofResources),
  })
  return finish(here, { consent: { grantId: grant.jti } })
}

/** Commits the step, then sends the browser on. */
async function finish({ authority, req, res, unit }: Here, result: Record<string, unknown>) {
  const { provider } = authority.provider()
  const location = await provider.interactionResult(req, res, result, {
    mergeWithLastSubmission: !result.error,
  })
  const { records, audit } = unit
  await authority.store.transact({ kind: 'write', records, audit, at: authority.now() })
  res.writeHead(303, { location, 'content-length': 0, 'cache-control': 'no-store' })
  res.end()
}
