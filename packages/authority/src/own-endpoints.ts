import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AccessTokenClaims } from '@rescind/guard/claims'
import { authenticate, authenticationFailed } from './authenticate.ts'
import type { Authority } from './authority.ts'
import { addressOf } from './http/address.ts'
import { readJson } from './http/body.ts'
import { sendJson } from './http/respond.ts'
import { listDevices, removeDevice, renameDevice, renameInput } from './own-devices.ts'
import { endAll, endOne, endOthers, listSessions } from './own-sessions.ts'
import { receiptOf, sendReceipt } from './receipt.ts'
import type { RevokeOutcome } from './store/store.ts'
import { validate } from './v1.ts'

/* `/v1/sessions` and `/v1/devices`: for any live access token, whatever API it is for (docs/sessions.md). */

type Asked = {
  authority: Authority
  req: IncomingMessage
  res: ServerResponse
  claims: AccessTokenClaims
  address: string
  /** The last step of the path: a `sid`, or the id of a device. */
  id: string
}

const OPERATIONS: Record<string, (asked: Asked) => Promise<void>> = {
  'GET sessions': async ({ authority, res, claims }) =>
    sendJson(res, 200, await listSessions(authority, claims)),
  'GET devices': async ({ authority, res, claims }) =>
    sendJson(res, 200, await listDevices(authority, claims.sub, claims)),
  'DELETE sessions/': async (asked) =>
    answer(asked, await endOne(asked.authority, asked.claims, asked.id, asked.address)),
  'DELETE devices/': async (asked) =>
    answer(
      asked,
      await removeDevice(asked.authority, asked.claims.sub, asked.id, asked.claims, asked.address),
    ),
  'PATCH devices/': async ({ authority, req, res, claims, id, address }) => {
    const { name } = validate(renameInput, await readJson(req))
    sendJson(res, 200, await renameDevice(authority, claims, id, name, address))
  },
  'POST sessions/revoke-others': async (asked) =>
    answer(asked, await endOthers(asked.authority, asked.claims, asked.address)),
  'POST sessions/revoke-all': async (asked) =>
    answer(asked, await endAll(asked.authority, asked.claims, asked.address)),
}

/**
 * What is done at a path, by method; nothing for any other path.
 * @returns the pattern of the path, the methods that it takes, and what serves them
 */
export function ownRoute(authority: Authority, path: string) {
  const [, what, id = ''] = /^\/v1\/(sessions|devices)(?:\/([\w-]{1,64}))?$/.exec(path) ?? []
  if (what === undefined) return undefined
  const named = Object.keys(OPERATIONS).some((name) => name.endsWith(` ${what}/${id}`))
  const target = id === '' || named ? [what, id].filter(Boolean).join('/') : `${what}/`
  const all = Object.entries(OPERATIONS).filter(([name]) => name.split(' ')[1] === target)
  return {
    pattern: `/v1/${target.replace(/\/$/, '/{id}')}`,
    methods: all.map(([name]) => name.split(' ')[0] as string),
    async serve(req: IncomingMessage, res: ServerResponse) {
      const claims = await authenticate(authority, req)
      if (!claims) throw authenticationFailed()
      const address = addressOf(req, authority.config.trustProxy)
      await OPERATIONS[`${req.method} ${target}`]?.({ authority, req, res, claims, address, id })
    },
  }
}

/** Says what ended; with `Prefer: wait=N` also which guards have confirmed it. */
async function answer(
  { authority, req, res }: Asked,
  outcome: Extract<RevokeOutcome, { kind: 'revoked' | 'already' }>,
) {
  await sendReceipt(authority, req, res, outcome, (guards) => ({
    ...receiptOf(outcome),
    ...(guards ? { guards } : {}),
  }))
}
