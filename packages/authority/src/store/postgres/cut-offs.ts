import type { CutOff } from '../../domain/cut-off.ts'
import { type CutOffIndex, createCutOffIndex } from '../cut-off-index.ts'
import type { Rows } from './rows.ts'

const SINCE = 'SELECT seq, body FROM cut_offs WHERE seq >= $1 ORDER BY seq'

/**
 * Reads cut-offs, and those that it has read no more: they are only ever added, and anybody who may register a client can add some.
 * @returns a function that gives all there are by then
 */
export function createCutOffReading(): (rows: Rows) => Promise<CutOffIndex> {
  let index = createCutOffIndex()
  let last = { seq: 0, body: '' }

  function take(found: { seq: number; body: string }[]) {
    for (const one of found) {
      // Who asked at the same time may have had it before.
      if (one.seq <= last.seq) continue
      index.add(JSON.parse(one.body) as CutOff)
      last = one
    }
    return index
  }
  return async (rows) => {
    const known = last
    const found = await rows(SINCE, [known.seq])
    if (known.seq === 0 || found[0]?.body === known.body) return take(found)
    // The database was set back: what was added there since has numbers that we have seen.
    const all = await rows(SINCE, [0])
    index = createCutOffIndex()
    last = { seq: 0, body: '' }
    return take(all)
  }
}
