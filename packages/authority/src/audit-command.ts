import { exportedRecords } from './audit-export.ts'
import { readAuditFilter } from './audit-filter.ts'
import { auditRecords, newestRecords, shown, type Verified, verifyRecords } from './audit-reading.ts'
import type { Anchor } from './domain/audit.ts'
import { RescindError } from './errors.ts'
import type { AuditFilter } from './store/audit.ts'
import type { Store } from './store/store.ts'
import { UsageError } from './usage-error.ts'

const COMMANDS = ['show', 'export', 'verify'] as const
export type AuditCommand = (typeof COMMANDS)[number]

export function isAuditCommand(action: string): action is AuditCommand {
  return (COMMANDS as readonly string[]).includes(action)
}

/** What was typed; `limit` is a whole number. */
export type AuditGiven = Parameters<typeof readAuditFilter>[0] & {
  limit?: string
  file?: string
  anchor?: string
}
type Print = (line: string) => Promise<void> | void

const SHOWN = 100
/** What is shown is held until the oldest of it is found. */
const LARGEST = 100_000

/**
 * `rescind audit show|export|verify`.
 * @throws RescindError VALIDATION_ERROR (what was noted is cut off); INTERNAL when the chain is broken; NOT_FOUND (there is no such file); UsageError
 */
export async function auditCommand(
  action: AuditCommand,
  store: () => Promise<Store>,
  given: AuditGiven,
  print: Print,
): Promise<void> {
  if (action === 'verify') return verify(store, given, print)
  const filter = typed(given)
  if (action === 'show') {
    const limit = Number(given.limit ?? SHOWN)
    if (limit > LARGEST)
      throw new UsageError(`--limit is ${limit}; allowed: up to ${LARGEST}. For more there is audit export.`)
    const { records } = limit > 0 ? await newestRecords(await store(), filter, { limit }) : { records: [] }
    for (const record of records.reverse()) await print(JSON.stringify(shown(record)))
    return
  }
  let written = 0
  for await (const page of auditRecords(await store(), filter)) {
    for (const record of page) await print(JSON.stringify(shown(record)))
    written += page.length
    progress(`${written} records`)
  }
  progress()
}

async function verify(store: () => Promise<Store>, { file, anchor }: AuditGiven, print: Print) {
  const noted = anchor === undefined ? {} : { noted: readAnchor(anchor) }
  const onPage = (records: number) => progress(`${records} records`)
  const report =
    file === undefined
      ? await verifyStore(await store(), { ...noted, onPage })
      : await verifyRecords(exportedRecords(file), { ...noted, onPage })
  progress()
  if ('problem' in report)
    throw new RescindError('INTERNAL', `The audit chain is broken at ${report.brokenAt}: ${report.problem}.`)
  const { records, first, last } = report
  if (records === 0) return print('The audit chain is whole: 0 records.')
  await print(`The audit chain is whole: ${records} records, ${first} to ${last.n}.`)
  await print(`Note this elsewhere, to verify against with --anchor: ${last.n}:${last.hash}`)
}

async function verifyStore(store: Store, facts: Parameters<typeof verifyRecords>[1]): Promise<Verified> {
  for (;;) {
    const pruned = (await store.read({ kind: 'audit-anchor' })) ?? null
    const { noted } = facts
    if (noted && pruned && noted.n < pruned.n)
      throw new RescindError(
        'VALIDATION_ERROR',
        `Records up to ${pruned.n} were cut off, so nothing can be said of record ${noted.n}. Note a newer one.`,
      )
    const report = await verifyRecords(auditRecords(store, {}), { ...facts, pruned })
    const now = (await store.read({ kind: 'audit-anchor' })) ?? null
    // A running authority may have cut something off meanwhile; that is not what somebody else did.
    if (!('problem' in report) || now?.n === pruned?.n) return report
  }
}

function readAnchor(given: string): Anchor {
  const [, n, hash] = /^(\d{1,15}):([\w-]{43})$/.exec(given) ?? []
  if (n === undefined || hash === undefined)
    throw new UsageError('--anchor must be N:HASH, as `rescind audit verify` prints it.')
  return { n: Number(n), hash }
}

/** @throws UsageError */
function typed(given: AuditGiven): AuditFilter {
  try {
    return readAuditFilter(given)
  } catch (error) {
    throw new UsageError((error as Error).message.replace(/`(\w+)`/, '--$1'))
  }
}

/** How far it is, where somebody is looking. */
function progress(words?: string) {
  if (process.stderr.isTTY && !process.stdout.isTTY) process.stderr.write(words ? `\r${words}` : '\r\x1b[K')
}
