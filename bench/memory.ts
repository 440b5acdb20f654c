import { summary } from './measure.ts'
import type { Memory, Way } from './memory-process.ts'
import type { Peer, Row } from './results.ts'
import { startWorker } from './worker.ts'

const SHARES = [0.01, 0.5, 1]
const RUNS = 3
const MB = 1e6

/** What it takes to remember the dead among `issued` tokens, beside a Set and a Map of their ids. */
export async function memory(issued: number, say: (what: string) => void): Promise<Row[]> {
  const rows: Row[] = []
  for (const share of SHARES) {
    const of = `${issued.toLocaleString('en-US')} issued, ${share * 100} % revoked`
    say(`memory: ${of}`)
    const [view, set, map] = [
      await measure('view', issued, share),
      await measure('set', issued, share),
      await measure('map', issued, share),
    ]
    const bits = { ...summary(view.map((one) => one.bits / MB)), unit: 'MB' }
    const what = `status bits: ${of}`
    const against = (name: string, configuration: string, runs: Memory[]): Row => {
      const peer: Peer = { name, configuration, ...summary(runs.map((one) => one.heap / MB)) }
      return { what, ...bits, target: '≤ 0.20 MB', peer, ratio: bits.value / peer.value }
    }
    const ids = '22-character ids of the revoked tokens only; heapUsed after gc'
    rows.push(against('Set of jti', ids, set))
    rows.push(against('Map of jti → exp', ids, map))
    const whole = summary(view.map((one) => one.heap / MB))
    rows.push({
      what: `the same with the reasons of the newest 10,000 to 20,000: ${of}`,
      unit: 'MB',
      ...whole,
    })
  }
  return rows
}

async function measure(way: Way, issued: number, share: number): Promise<Memory[]> {
  const runs: Memory[] = []
  // Each in a process of its own, whose heap nothing else was in.
  for (let i = 0; i < RUNS; i++) {
    const worker = startWorker('memory-process.ts', [], { flags: ['--expose-gc'] })
    runs.push(await worker.ask<Memory>({ do: 'measure', way, issued, revoked: Math.round(issued * share) }))
    await worker.stop()
  }
  return runs
}
