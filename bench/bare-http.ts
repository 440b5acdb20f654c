import { FORM, RUNS, type Run, run, tokenForm, type Under } from './load.ts'
import { summary } from './measure.ts'
import type { Peer } from './results.ts'
import type { Runs } from './turns.ts'
import { canPin, startWorker } from './worker.ts'

/* The same load on a server that does nothing: by it figures of one machine can be held against those of another. */

export async function* bareRuns({ load, seconds }: Under): Runs {
  const worker = startWorker('bare-http-process.ts', [], { pinned: canPin() })
  try {
    const { port, pid } = await worker.ask<{ port: number; pid: number }>({ do: 'listen' })
    const ground = { issuer: `http://127.0.0.1:${port}`, pid }
    const what = { path: '/', headers: FORM, bodies: [tokenForm('a'.repeat(600))] }
    for (let n = 0; n <= RUNS; n++) {
      const one = await run({ ground, load }, { ...what, seconds: Math.min(1, seconds) })
      if (n > 0) yield one
    }
  } finally {
    await worker.stop()
  }
}

export function bareOf(runs: Run[]): Peer {
  const configuration = 'node:http alone: it reads a form of 600 bytes and answers two'
  return { name: 'node:http alone', configuration, ...summary(runs.map(({ rate }) => rate)) }
}
