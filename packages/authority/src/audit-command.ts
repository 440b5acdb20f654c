import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { readAuditFilter } from './audit-filter.ts'
import { auditRecords, newestRecords, shown, type Verified, verifyRecords } from './audit-reading.ts'
import type { Anchor, AuditRecord } from './domain/audit.ts'
import { CHAIN_START } from './domain/audit.ts'
import { RescindError } from './errors.ts'
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

/**
 * `rescind audit show|export|verify`.
 * @throws RescindError VALIDATION_ERROR; INTERNAL when the chain is broken; UsageError
 */
export async function auditCommand(
  action: AuditCommand,
  store: () => Promise<Store>,
  given: AuditGiven,
  print: Print,
): Promise<void> {
  if (action === 'verify') return verify(store, given, print)
  const filter = readAuditFilter(given)
  if (action === 'show') {
    const limit = Number(given.limit ?? SHOWN)
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
  const noted = anchor === undefined ? undefined : readAnchor(anchor)
  const onPage = (records: number) => progress(`${records} records`)
  const report =
    file === undefined
      ? await verifyStore(await store(), noted, onPage)
      : await verifyFile(file, noted, onPage)
  progress()
  if ('problem' in report)
    throw new RescindError('INTERNAL', `The audit chain is broken at ${report.brokenAt}: ${report.problem}.`)
  const { records, first, last } = report
  if (records === 0) return print('The audit chain is whole: 0 records.')
  const trusted = file !== undefined && first > 1 && noted?.n !== first - 1
  await print(`The audit chain is whole: ${records} records, ${first} to ${last.n}.`)
  if (trusted)
    await print(`Record ${first} itself is taken on trust: --anchor ${first - 1}:HASH of the one before it.`)
  await print(`Note this elsewhere, to verify against with --anchor: ${last.n}:${last.hash}`)
}

async function verifyStore(store: Store, noted: Anchor | undefined, onPage: (records: number) => void) {
  const start = (await store.read({ kind: 'audit-anchor' })) ?? CHAIN_START
  if (noted && noted.n < start.n)
    throw new RescindError(
      'VALIDATION_ERROR',
      `Records up to ${start.n} were cut off, so nothing can be said of record ${noted.n}. Note a newer one.`,
    )
  return verifyRecords(auditRecords(store, {}), { start, stored: true, ...(noted ? { noted } : {}), onPage })
}

/** An export goes from its first record on; where that is not the very first, what stood before has to be given. */
async function verifyFile(
  file: string,
  noted: Anchor | undefined,
  onPage: (records: number) => void,
): Promise<Verified> {
  const input = createReadStream(file)
  const lines = createInterface({ input, crlfDelay: Infinity })[Symbol.asyncIterator]()
  try {
    const head = await lines.next()
    const first = head.done ? undefined : readLine(head.value, 1)
    const start = first?.n === 1 ? CHAIN_START : first && noted?.n === first.n - 1 ? noted : undefined
    const pages = (async function* () {
      if (first) yield [first]
      for (let line = 2; ; line++) {
        const next = await lines.next()
        if (next.done) return
        yield [readLine(next.value, line)]
      }
    })()
    return await verifyRecords(pages, { ...(start ? { start } : {}), ...(noted ? { noted } : {}), onPage })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (error instanceof RescindError || typeof code !== 'string') throw error
    throw new RescindError('VALIDATION_ERROR', `${file} can’t be read (${code}).`)
  } finally {
    input.destroy()
  }
}

/** A line of an export. @throws RescindError INTERNAL: it is none */
function readLine(text: string, line: number): AuditRecord {
  try {
    const record = JSON.parse(text) as Record<string, unknown>
    const at = Date.parse(`${record.at}`)
    // One spelling, or something could be changed unseen.
    if (JSON.stringify({ ...record, at: new Date(at).toISOString() }) === text && Number.isInteger(record.n))
      return { ...record, at } as AuditRecord
  } catch {
    // Said below.
  }
  throw new RescindError('INTERNAL', `The audit chain is broken: line ${line} is no exported record.`)
}

function readAnchor(given: string): Anchor {
  const [, n, hash] = /^(\d{1,15}):([\w-]{43})$/.exec(given) ?? []
  if (n === undefined || hash === undefined)
    throw new UsageError('--anchor must be N:HASH, as `rescind audit verify` prints it.')
  return { n: Number(n), hash }
}

/** How far it is, where somebody is looking. */
function progress(words?: string) {
  if (process.stderr.isTTY && !process.stdout.isTTY) process.stderr.write(words ? `\r${words}` : '\r\x1b[K')
}
