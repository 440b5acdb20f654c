import { z } from 'zod'
import type { Authority } from './authority.ts'
import type { Device } from './domain/device.ts'
import { type Holder, iso, lastSeenOf, notFound, revokedBy, sessionsOf } from './own-sessions.ts'
import { plain } from './plain.ts'
import { type Revoked, revoke } from './revoke.ts'

/* The devices of the account that a live token is of. */

const MOST = 200
const MAX_NAME = 60

export const renameInput = z.strictObject({
  name: z
    .string()
    .max(1000)
    .transform((name) => plain(name, 1000))
    .pipe(z.string().min(1).max(MAX_NAME))
    .describe('What its owner calls it'),
})

/** Times are ISO 8601. */
export type ListedDevice = Pick<Device, 'id' | 'name' | 'kind' | 'browser' | 'os' | 'address' | 'place'> & {
  /** Whether the session that asks is on it. */
  current: boolean
  /** How many live sessions are on it. */
  sessions: number
  firstSeen: string
  lastSeen: string
}

/**
 * The account's devices, the one that was seen last first; at most 200.
 * @param here the session that asks, or the device that it is asked from
 */
export async function listDevices(
  authority: Authority,
  sub: string,
  here: { sid?: string; device?: string },
): Promise<{ devices: ListedDevice[] }> {
  const [sessions, devices] = await Promise.all([
    sessionsOf(authority, sub),
    authority.store.read({ kind: 'devices', sub }),
  ])
  const own = here.device ?? sessions.find((one) => one.sid === here.sid)?.device
  const listed = devices.map(({ id, name, kind, browser, os, firstSeen, lastSeen, address, place }) => {
    const on = sessions.filter(({ device }) => device === id)
    return {
      ...{ id, name, kind, ...(browser ? { browser } : {}), ...(os ? { os } : {}) },
      current: id === own,
      sessions: on.filter(({ ended }) => !ended).length,
      firstSeen: iso(firstSeen),
      lastSeen: iso(Math.max(lastSeen, ...on.map(lastSeenOf))),
      ...{ address, place },
    }
  })
  return { devices: listed.sort((a, b) => (a.lastSeen < b.lastSeen ? 1 : -1)).slice(0, MOST) }
}

/**
 * Ends every session on a device of the account, in every client.
 * @param here the session that asks, or the device that it is asked from
 * @throws RescindError NOT_FOUND, UNAVAILABLE
 */
export async function removeDevice(
  authority: Authority,
  sub: string,
  device: string,
  here: { sid?: string; device?: string },
  address: string,
): Promise<Revoked> {
  const { store } = authority
  const [devices, asking] = await Promise.all([
    store.read({ kind: 'devices', sub }),
    here.sid === undefined ? undefined : store.read({ kind: 'session', sid: here.sid }),
  ])
  if (!devices.some(({ id }) => id === device)) throw notFound()
  const reason = (here.device ?? asking?.device) === device ? 'user_logout' : 'device_removed'
  const by = { kind: 'account' as const, sub, device }
  return revokedBy(await revoke(authority, by, `account:${sub}`, address, { reason }))
}

/**
 * Gives a device of the account the name that its owner has for it; it keeps it.
 * @throws RescindError NOT_FOUND, UNAVAILABLE
 */
export async function renameDevice(
  { store, now }: Authority,
  { sub, sid, clientId }: Holder & { clientId?: string },
  id: string,
  name: string,
  address: string,
): Promise<{ id: string; name: string }> {
  const at = now()
  const from = { ...(sid === undefined ? {} : { sid }), ...(clientId === undefined ? {} : { clientId }) }
  const who = { at, actor: `account:${sub}`, sub, ...from, address }
  const audit = { event: 'device.renamed' as const, ...who, detail: name }
  const outcome = await store.transact({ kind: 'rename-device', sub, id, name, audit })
  if (outcome.kind !== 'written') throw notFound()
  return { id, name }
}
