import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AUDIT_FILTERS, readAuditFilter } from './audit-filter.ts'
import { auditRecords, newestRecords, shown } from './audit-reading.ts'
import type { Authority } from './authority.ts'
import { readQuery, wrongQuery } from './http/query.ts'
import { sendJson } from './http/respond.ts'

const PAGE = 100
const LARGEST = 1_000
/** One answer looks for so long, in ms: then it says where to go on. */
const PATIENCE = 1_000

/**
 * `GET /v1/admin/audit`: the newest records that a filter lets through, the newest first; or with
 * `Accept: application/x-ndjson` all of them, the oldest first, one a line.
 * @throws RescindError VALIDATION_ERROR
 */
export async function auditEndpoint(
  { store }: Authority,
  req: IncomingMessage,
  res: ServerResponse,
  url: URL,
): Promise<void> {
  const { cursor, limit = `${PAGE}`, ...given } = readQuery(url, [...AUDIT_FILTERS, 'cursor', 'limit'])
  const filter = readAuditFilter(given)
  if (cursor !== undefined && !/^[1-9]\d{0,14}$/.test(cursor))
    throw wrongQuery('cursor', 'the `next` of a page')
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > LARGEST)
    throw wrongQuery('limit', `a number from 1 to ${LARGEST}`)
  if (/application\/x-ndjson/.test(req.headers.accept ?? '')) return exportLines({ store }, filter, res)
  const before = cursor === undefined ? undefined : Number(cursor)
  const page = await newestRecords(store, filter, { limit: Number(limit), before, patience: PATIENCE })
  const next = page.next === undefined ? {} : { next: `${page.next}` }
  sendJson(res, 200, { records: page.records.map(shown), ...next })
}

/** All records that a filter lets through, the oldest first, one a line. */
export async function exportLines(
  { store }: Pick<Authority, 'store'>,
  filter: Parameters<typeof auditRecords>[1],
  res: ServerResponse,
) {
  res.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
  try {
    for await (const page of auditRecords(store, filter)) {
      if (res.destroyed) return
      const lines = page.map((record) => `${JSON.stringify(shown(record))}\n`)
      if (!res.write(lines.join(''))) await Promise.race([once(res, 'drain'), once(res, 'close')])
    }
    res.end()
  } catch {
    // An end that looks like one would pass for the whole.
    res.destroy()
  }
}
