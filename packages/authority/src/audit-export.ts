import { createReadStream } from 'node:fs'
import { type AuditRecord, readEvent } from './domain/audit.ts'
import { RescindError } from './errors.ts'

const NEWLINE = 0x0a
/** No record is longer, in bytes. */
const LONGEST = 1024 * 1024

/**
 * The records of an exported file. A line that is none is a record with an empty hash.
 * @throws RescindError NOT_FOUND: it can't be read
 */
export async function* exportedRecords(path: string): AsyncGenerator<AuditRecord[]> {
  let n: number | undefined
  for await (const lines of linesOf(path)) {
    const page = lines.map((line) => {
      const next = n === undefined ? Number(/"n":(\d{1,15})\b/.exec(line)?.[1] ?? 1) : n + 1
      const unreadable = { at: 0, event: 'revocation', actor: 'unreadable', n: next, hash: '' } as const
      const record = readRecord(line) ?? unreadable
      n = record.n
      return record
    })
    yield page
  }
}

/** A record, if the line is exactly what is exported of one: in any other spelling something could be changed unseen. */
function readRecord(line: string): AuditRecord | undefined {
  try {
    const record = JSON.parse(line) as Record<string, unknown>
    const at = Date.parse(`${record.at}`)
    if (JSON.stringify({ ...record, at: new Date(at).toISOString() }) !== line) return undefined
    const { n, hash, ...event } = { ...record, at } as unknown as AuditRecord
    const read = readEvent(JSON.stringify(event))
    return read && Number.isSafeInteger(n) && typeof hash === 'string' ? { ...read, n, hash } : undefined
  } catch {
    return undefined
  }
}

/** The lines of each piece that is read; cut at newlines alone, because a text may hold other separators. */
async function* linesOf(path: string): AsyncGenerator<string[]> {
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      const lines: string[] = []
      let start = 0
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        lines.push(textOf(Buffer.concat([rest, chunk.subarray(start, end)])))
        rest = Buffer.alloc(0)
        start = end + 1
      }
      rest = Buffer.concat([rest, chunk.subarray(start)])
      yield lines
      if (rest.length > LONGEST) break
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (typeof code !== 'string') throw error
    throw new RescindError('NOT_FOUND', `${path} can’t be read (${code}).`)
  }
  // An export ends with a newline: this is half a line.
  if (rest.length > 0) yield ['']
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What is no UTF-8 is no JSON either; where it stands can be seen in it all the same. */
function textOf(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    return `not UTF-8: ${bytes.toString('latin1')}`
  }
}
