import type { Opened } from './fill.ts'
import { type Ground, GUARD, RESOURCE } from './ground.ts'
import { summary } from './measure.ts'
import { counted, type Row } from './results.ts'
import { revokeOver } from './revoke.ts'
import { startWorker } from './worker.ts'

type Started = { ready: number; checked: number; refused: number; asked: number }

const RUNS = 7
/** Of the dead tokens, how many each new guard is asked about. */
const DEAD = 100
/** A changed list is made anew when it is next asked for, but not more often than this, in ms. */
const REMADE_AFTER = 400

/** A guard starts beside an authority that has issued a million tokens. */
export async function coldStart(
  ground: Ground,
  dead: string,
  options: {
    sizes: { issued: number; late: number; large: number }
    quick: boolean
    say: (what: string) => void
  },
): Promise<Row[]> {
  const { sizes, quick, say } = options
  const runs = quick ? 1 : RUNS
  const token = ground.live[sizes.large - 1]?.accessToken ?? ''
  // Not those that were revoked for the count of the dead.
  const spare = ground.live.slice(sizes.late, sizes.late + runs)
  const made: Started[] = []
  const kept: Started[] = []
  for (let run = 0; run < runs; run++) {
    say(`cold start: ${run + 1} of ${runs}`)
    await revokeOver(ground.issuer, [spare[run] as Opened])
    await new Promise((resolve) => setTimeout(resolve, REMADE_AFTER))
    made.push(await startGuard(ground, token, dead))
    kept.push(await startGuard(ground, token, dead))
  }
  const of = `${sizes.issued.toLocaleString('en-US')} issued, 1 % revoked`
  const row = (what: string, all: number[], target?: string): Row => ({
    ...{ what: `${what}: ${of}`, unit: 'ms', ...summary(all), ...(target ? { target } : {}) },
  })
  const all = [...made, ...kept]
  const sum = (values: number[]) => values.reduce((total, one) => total + one, 0)
  return [
    row(
      'cold start to the first check, lists made anew',
      made.map((one) => one.checked),
      '≤ 300 ms',
    ),
    row(
      'cold start to the first check, lists as kept',
      kept.map((one) => one.checked),
    ),
    counted(
      'cold start: revoked tokens refused',
      sum(all.map((one) => one.refused)),
      sum(all.map((one) => one.asked)),
      'tokens',
    ),
  ]
}

async function startGuard({ issuer }: Ground, token: string, file: string): Promise<Started> {
  const worker = startWorker('cold-process.ts', [])
  const told = { issuer, resource: RESOURCE, credentials: GUARD, token, file, count: DEAD }
  const started = await worker.ask<Started>({ do: 'start', ...told })
  await worker.stop()
  return started
}
