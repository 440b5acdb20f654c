import { percentile } from '../measure.ts'
import type { Row } from '../results.ts'
import { startWorker } from '../worker.ts'
import type { Drained } from './drain-process.ts'
import type { Ran } from './feed-process.ts'

/*
 * What the stub leaves out: the same feed over TCP connections, to as many guards as it goes on with. The loopback does the
 * receiver's part in the sender's time too, so this is rather too much than too little.
 */

export type Sweep = {
  name: string
  apis: number
  audiences: number
  perSecond: number
  seconds: number
  sizes: number[]
}

/** Whoever is this late does not keep up, in ms. */
export const LATE = 250
const WARM = 1

type Found = {
  guards: number
  share: number
  readers: number
  bytes: number
  perEvent: number
  p99: number
  resident: number
  keptUp: boolean
}

/** @returns rows, and how many guards one process was seen to carry */
export async function sweep(
  options: Sweep,
  say: (what: string) => void,
): Promise<{ rows: Row[]; carries: number }> {
  const found: Found[] = []
  for (const guards of options.sizes) {
    say(`${options.name}: ${guards} guards over TCP`)
    const one = await withGuards(options, guards)
    found.push(one)
    if (!one.keptUp) break
  }
  const carries = Math.max(0, ...found.filter((one) => one.keptUp).map(({ guards }) => guards))
  const once = { spread: 'once' }
  const rows = found.flatMap(({ guards, share, readers, bytes, perEvent, p99, resident }): Row[] => {
    const of = `${options.name}, ${guards.toLocaleString('en-US')} guards over TCP`
    return [
      { what: `${of}: CPU of the authority`, value: share, unit: '%', ...once },
      { what: `${of}: CPU of the readers`, value: readers, unit: '%', ...once },
      { what: `${of}: bytes read`, value: bytes / 1e6, unit: 'MB/s', ...once },
      { what: `${of}: CPU for a guard and a revocation`, value: perEvent, unit: 'ns', ...once },
      { what: `${of}: until it was read, p99`, value: p99, unit: 'ms', ...once },
      { what: `${of}: resident memory for a guard`, value: resident / 1e3, unit: 'KB', ...once },
    ]
  })
  return { rows, carries }
}

async function withGuards(options: Sweep, guards: number): Promise<Found> {
  const { apis, audiences, perSecond, seconds } = options
  const feed = startWorker('scale/feed-process.ts', [], { flags: ['--expose-gc'], pinned: true })
  const drain = startWorker('scale/drain-process.ts', [])
  try {
    const count = Math.round(perSecond * (seconds + WARM))
    const warm = Math.round(perSecond * WARM)
    const { port } = await feed.ask<{ port: number }>({ do: 'listen', apis, audiences, count })
    const before = await feed.ask<number>({ do: 'resident' })
    await drain.ask({ do: 'open', port, count: guards, apis })
    const after = await feed.ask<number>({ do: 'resident' })
    await drain.ask({ do: 'begin' })
    const ran = await feed.ask<Ran>({ do: 'run', perSecond, warm, late: 0, lost: 0 })
    const begun = await feed.ask<number>({ do: 'begun' })
    const connected = await feed.ask<number>({ do: 'connected' })
    // What is still on its way is late, but it comes.
    await new Promise((resolve) => setTimeout(resolve, 2 * LATE))
    const { arrivals, bytes, cpu } = await drain.ask<Drained>({ do: 'end' })
    const delays = arrivals
      .filter(({ seq }) => seq > warm)
      .map(({ seq, at }) => at / 1e6 - begun / 1e6 - (seq / perSecond) * 1000)
    const p99 = percentile(delays, 0.99)
    return {
      ...{ guards, p99, resident: (after - before) / guards },
      share: (100 * ran.cpu) / ran.seconds,
      readers: (100 * cpu) / (ran.seconds + WARM),
      bytes: bytes / (ran.seconds + WARM),
      perEvent: (1e9 * ran.cpu) / (ran.published * guards * Math.min(1, audiences / apis)),
      keptUp: p99 <= LATE && connected === guards,
    }
  } finally {
    await drain.stop()
    await feed.stop()
  }
}
