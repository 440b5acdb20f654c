import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** Longer than any line of ours, in bytes. */
const LONGEST = 16 * 1024 * 1024
const READ_AT_ONCE = 1024 * 1024
const NEWLINE = 10

export type End = {
  /** The last line, its end included where it has one. */
  last: string
  /** Of all bytes before it, in base64url. */
  sha256: string
}

/**
 * The lines of a file, some at a time and without the last one, which is returned.
 * @throws what the system says; an error when a line is longer than any of ours
 */
export async function* linesOf(path: string): AsyncGenerator<string[], End> {
  const digest = createHash('sha256')
  // Begins with the newest whole line: whether it is the last one is known only later.
  let tail: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path, { highWaterMark: READ_AT_ONCE })) {
    const bytes = Buffer.concat([tail, chunk])
    const end = bytes.lastIndexOf(NEWLINE)
    const start = end > 0 ? bytes.lastIndexOf(NEWLINE, end - 1) + 1 : 0
    tail = bytes.subarray(start)
    if (tail.length > LONGEST) throw new Error('it has a line that is longer than any of an export')
    if (start === 0) continue
    const whole = bytes.subarray(0, start)
    digest.update(whole)
    yield whole.toString('utf8', 0, start - 1).split('\n')
  }
  return { last: tail.toString('utf8'), sha256: digest.digest('base64url') }
}
