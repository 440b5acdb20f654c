import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { compromise, deactivate, reactivate, reviewed } from './account-endings.ts'
import { reportOn } from './account-report.ts'
import { administrator } from './admin.ts'
import { auditEndpoint } from './admin-audit.ts'
import { listAccounts, listSessions, toAdminAccount } from './admin-lists.ts'
import { type Counts, carryOut, countFirst, findAccount, readOrder, words } from './admin-revocations.ts'
import type { Authority } from './authority.ts'
import { guardsEverywhere } from './everywhere.ts'
import { addressOf } from './http/address.ts'
import { readJson } from './http/body.ts'
import { readQuery, wrongQuery } from './http/query.ts'
import { sendJson } from './http/respond.ts'
import { receiptOf, sendReceipt } from './receipt.ts'
import type { RevokeOutcome } from './store/store.ts'
import { validate } from './v1.ts'

/* `/v1/admin/…`, for administrators alone (docs/administration.md). */

type Asked = {
  authority: Authority
  req: IncomingMessage
  res: ServerResponse
  url: URL
  /** Who asks, for the audit log, and from where. */
  actor: string
  address: string
  /** The account that the path names. */
  sub: string
}

const withReason = z.strictObject({ reason: words })
const CURSOR = /^[1-9]\d{0,14}$/

/** By method and path; `*` stands for the `sub` of an account. */
const OPERATIONS: Record<string, (asked: Asked) => Promise<void>> = {
  'GET guards': async ({ authority, res }) =>
    sendJson(res, 200, { seq: authority.feed.head.seq, guards: await guardsEverywhere(authority) }),
  async 'GET sessions'({ authority, res, url }) {
    const { sub, client: clientId, cursor } = readQuery(url, ['sub', 'client', 'cursor'])
    if (cursor !== undefined && !CURSOR.test(cursor)) throw wrongQuery('cursor', 'the `next` of a page')
    const before = cursor === undefined ? {} : { before: Number(cursor) }
    sendJson(res, 200, await listSessions(authority, { sub, clientId, ...before }))
  },
  async 'GET accounts'({ authority, res, url }) {
    const { review, cursor: after } = readQuery(url, ['review', 'cursor'])
    if (review !== undefined && review !== 'true') throw wrongQuery('review', '`true`')
    if (after !== undefined && !CURSOR.test(after)) throw wrongQuery('cursor', 'the `next` of a page')
    sendJson(res, 200, await listAccounts(authority, { review: review === 'true', after }))
  },
  async 'GET accounts/*/report'({ authority, res, sub }) {
    sendJson(res, 200, await reportOn(authority, await findAccount(authority.store, sub)))
  },
  'GET audit': ({ authority, req, res, url }) => auditEndpoint(authority, req, res, url),
  async 'POST revocations'(asked) {
    const { authority, req, res, actor, address } = asked
    const order = readOrder(await readJson(req), authority.now())
    if (order.dryRun) return sendJson(res, 200, { dryRun: true, ...(await countFirst(authority, order)) })
    const { outcome, counts } = await carryOut(authority, order, actor, address)
    await answer(asked, outcome, counts)
  },
  async 'POST accounts/*/compromise'(asked) {
    const { reason } = validate(withReason, await readJson(asked.req))
    await answer(asked, await compromise(asked.authority, asked.sub, asked.actor, asked.address, reason))
  },
  async 'POST accounts/*/deactivate'(asked) {
    const { reason } = validate(withReason, await readJson(asked.req))
    await answer(asked, await deactivate(asked.authority, asked.sub, asked.actor, asked.address, reason))
  },
  async 'POST accounts/*/reactivate'(asked) {
    const { reason } = validate(withReason, await readJson(asked.req))
    await reactivate(asked.authority, asked.sub, asked.actor, reason)
    await answerAccount(asked)
  },
  async 'POST accounts/*/reviewed'(asked) {
    await reviewed(asked.authority, asked.sub, asked.actor)
    await answerAccount(asked)
  },
}

/**
 * What is done at a path, by method; nothing for any other path.
 * @returns the pattern of the path, the methods that it takes, and what serves them
 */
export function adminRoute(authority: Authority, path: string) {
  const [, what = '', rest] = /^\/v1\/admin\/([a-z]+(?:\/([\w-]{1,64})\/[a-z]+)?)$/.exec(path) ?? []
  const target = rest === undefined ? what : what.replace(`/${rest}/`, '/*/')
  const methods = Object.keys(OPERATIONS)
    .filter((name) => name.split(' ')[1] === target)
    .flatMap((name) => (name.startsWith('GET ') ? ['GET', 'HEAD'] : [name.split(' ')[0] as string]))
  if (methods.length === 0) return undefined
  return {
    pattern: `/v1/admin/${target.replace('*', '{sub}')}`,
    methods,
    async serve(req: IncomingMessage, res: ServerResponse, url: URL) {
      const actor = await administrator(authority, req)
      const address = addressOf(req, authority.config.trustProxy)
      const method = req.method === 'HEAD' ? 'GET' : req.method
      await OPERATIONS[`${method} ${target}`]?.({ authority, req, res, url, actor, address, sub: rest ?? '' })
    },
  }
}

/** Says what ended; with `Prefer: wait=N` also which guards have confirmed it. */
async function answer(
  { authority, req, res }: Asked,
  outcome: Extract<RevokeOutcome, { kind: 'revoked' | 'already' }>,
  counts: Counts = {},
) {
  await sendReceipt(authority, req, res, outcome, (guards) => ({
    ...{ ...receiptOf(outcome), ...counts },
    ...(guards ? { guards } : {}),
  }))
}

async function answerAccount({ authority, res, sub }: Asked) {
  sendJson(res, 200, toAdminAccount(await findAccount(authority.store, sub)))
}
