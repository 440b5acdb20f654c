import type { IncomingMessage, ServerResponse } from 'node:http'
import { administers as isAdministrator } from './administrators.ts'
import type { Authority } from './authority.ts'
import { addressOf } from './http/address.ts'
import { readOwnForm } from './http/own-form.ts'
import { sendHtml } from './http/respond.ts'
import { type SignedIn, signedInHere, signInFirst } from './oauth/signed-in.ts'
import { listDevices, removeDevice, renameDevice, renameInput } from './own-devices.ts'
import { endElsewhere, endOne, listSessions } from './own-sessions.ts'
import { devicesPage, othersPage } from './pages/devices.ts'
import { leftPage } from './pages/signed-out.ts'
import type { Told } from './pages/told.ts'
import { RECENT } from './step-up.ts'
import type { RevokeOutcome } from './store/store.ts'
import { doneWith, telling, toldIn } from './told.ts'
import { validate } from './v1.ts'

/*
 * `/devices`: what an account is signed in on, for whoever is signed in in this browser. Forms without script; each
 * answers with the way back, which tells what was done.
 */

type Handler = (authority: Authority, req: IncomingMessage, res: ServerResponse, url: URL) => Promise<void>

/** `GET /devices` */
export const devicesEndpoint: Handler = async (authority, req, res, url) => {
  const here = await signedInHere(authority, req, res)
  const { name: issuerName } = authority.config
  const told = toldIn(authority, url, here?.account.sub)
  // Whoever has just logged out the device that they are on.
  if (!here && told) return sendHtml(res, 200, await leftPage({ issuerName, told }))
  if (!here) return signInFirst(authority, res, '/devices')
  const { sub, email } = here.account
  const [{ devices }, { sessions }] = await Promise.all([
    listDevices(authority, sub, { device: here.device }),
    listSessions(authority, { sub }),
  ])
  const administers = isAdministrator(authority.config, here.account)
  const options = { issuerName, email, devices, sessions, administers }
  sendHtml(res, 200, await devicesPage({ ...options, ...(told ? { told } : {}) }))
}

/** `POST /devices/end`: ends what is on a device, or one session that is on none. */
export const endDeviceEndpoint: Handler = async (authority, req, res) => {
  const { here, form, address } = await changing(authority, req, res)
  if (!here) return
  const { sub } = here.account
  const device = form.get('device')
  const outcome = device
    ? await removeDevice(authority, sub, device, { device: here.device }, address)
    : await endOne(authority, { sub }, form.get('session') ?? '', address)
  await back(authority, res, sub, outcome)
}

/** `/devices/others`: asks, and ends everything that is not on this device. It takes a recent sign-in. */
export const othersEndpoint: Handler = async (authority, req, res) => {
  const { here, address } =
    req.method === 'POST'
      ? await changing(authority, req, res)
      : { here: await signedInHere(authority, req, res), address: '' }
  if (res.writableEnded) return
  if (!here || authority.now() / 1000 - here.authTime > RECENT)
    return signInFirst(authority, res, '/devices/others', { maxAge: RECENT })
  const { sub } = here.account
  if (req.method === 'POST')
    return back(authority, res, sub, await endElsewhere(authority, sub, here, address))
  const { sessions } = await listSessions(authority, { sub })
  const live = sessions.filter(({ endedAt }) => endedAt === undefined)
  const others = live.filter(({ device }) => !here.device || device?.id !== here.device)
  sendHtml(res, 200, await othersPage({ issuerName: authority.config.name, count: others.length }))
}

/** `POST /devices/rename` */
export const renameDeviceEndpoint: Handler = async (authority, req, res) => {
  const { here, form, address } = await changing(authority, req, res)
  if (!here) return
  const { sub } = here.account
  const { name } = validate(renameInput, { name: form.get('name') ?? '' })
  await renameDevice(authority, { sub }, form.get('device') ?? '', name, address)
  goBack(authority, res, sub, { words: 'The name is changed.' })
}

/** Who sends a form of ours; whoever is signed in no more is sent to the sign-in. */
async function changing(
  authority: Authority,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<{ here?: SignedIn; form: Map<string, string>; address: string }> {
  const form = await readOwnForm(authority.config.issuer, req)
  const here = await signedInHere(authority, req, res)
  if (!here) signInFirst(authority, res, '/devices')
  return { ...(here ? { here } : {}), form, address: addressOf(req, authority.config.trustProxy) }
}

async function back(authority: Authority, res: ServerResponse, sub: string, outcome: RevokeOutcome) {
  goBack(authority, res, sub, await doneWith(authority, [outcome]))
}

function goBack(authority: Authority, res: ServerResponse, sub: string, told: Told) {
  const location = telling(authority, '/devices', sub, told)
  res.writeHead(303, { location, 'content-length': 0, 'cache-control': 'no-store' }).end()
}
