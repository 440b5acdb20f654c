import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'

/** Asks for a password on a terminal, without showing it; in a pipe it is the first line. */
export function readPassword(question: string): Promise<string> {
  const terminal = process.stdin.isTTY === true
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: silent, terminal })
  if (terminal) process.stderr.write(question)
  return new Promise((resolve) => {
    let answer = ''
    lines.once('line', (line) => {
      answer = line
      lines.close()
    })
    lines.once('close', () => {
      if (terminal) process.stderr.write('\n')
      resolve(answer)
    })
  })
}
