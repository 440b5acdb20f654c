import { now } from './history.ts'
import type { Fault, Lane } from './schedule.ts'
import type { World } from './world.ts'

/** After a clock is right again, what was written by the wrong one may still count for so long, in ms. */
const AFTERMATH = 11_000

export type Injected = {
  counts: Record<string, number>
  skipped: Record<string, number>
  clocksApart: { from: number; to: number }[]
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))

/** Breaks what the schedule says, and mends it again. Of each lane one fault at a time, even when mending takes longer. */
export async function inject(
  world: World,
  lanes: Record<Lane, Fault[]>,
  note: (line: string) => void,
): Promise<Injected> {
  const began = now()
  const injected: Injected = { counts: {}, skipped: {}, clocksApart: [] }
  const count = (of: Record<string, number>, kind: string) => {
    of[kind] = (of[kind] ?? 0) + 1
  }
  async function carryOut(lane: readonly Fault[]) {
    for (const fault of lane) {
      await pause(fault.at - (now() - began))
      if (fault.kind === 'database-full' && !world.database.disk) {
        count(injected.skipped, fault.kind)
        continue
      }
      const from = now()
      note(`${Math.round(from)} ms ${describe(fault)}`)
      const mend = await breakIt(world, fault)
      await pause(fault.for - (now() - from))
      await mend()
      count(injected.counts, fault.kind)
      if (fault.kind.startsWith('clock')) injected.clocksApart.push({ from, to: now() + AFTERMATH })
    }
  }
  await Promise.all(Object.values(lanes).map(carryOut))
  return injected
}

function describe({ kind, which, for: ms, by }: Fault): string {
  const where = which === undefined ? '' : ` of ${kind.startsWith('guard') ? 'guard' : 'process'} ${which}`
  return `${kind}${where} for ${ms} ms${by === undefined ? '' : ` by ${by} ms`}`
}

/** @returns how it is mended */
async function breakIt(world: World, { kind, which, by = 0 }: Fault): Promise<() => unknown> {
  const { database, processes } = world
  const chosen = <T>(all: T[]) => (which === undefined ? all : all.slice(which, which + 1))
  const meant = chosen(processes)
  const each = (work: (one: (typeof processes)[number]) => unknown) => Promise.all(meant.map(work))
  const wires = kind.startsWith('guard')
    ? chosen(world.guards).map(({ wire }) => wire)
    : meant.map((one) => (kind.startsWith('link') ? one.link : one.wire))
  const mendWires = () => {
    for (const wire of wires) {
      // With what is on its way.
      if (kind.endsWith('delay')) wire.cut()
      wire.mend()
    }
  }
  switch (kind) {
    case 'kill':
      await each((one) => one.kill())
      return () => each((one) => one.start())
    case 'stop':
      await each((one) => one.halt())
      return () => each((one) => one.goOn())
    case 'clock':
      await each((one) => one.setClock(by))
      return () => each((one) => one.setClock(0))
    case 'clock-restart':
      await each(async (one) => {
        one.setClock(by)
        await one.kill()
        one.start()
      })
      return () => each((one) => one.setClock(0))
    case 'database-crash':
      await database.kill()
      return () => database.start()
    case 'database-stop':
      database.halt()
      return () => database.goOn()
    case 'database-full':
      database.disk?.fill()
      return () => database.disk?.free()
    case 'fail-over':
      await database.failOver?.((port) => {
        for (const { link } of processes) {
          link.aim(port)
          link.cut()
        }
      })
      return () => {}
    default: {
      for (const wire of wires) {
        if (kind.endsWith('cut')) wire.cut(true)
        else if (kind.endsWith('half-open')) wire.blackHole()
        else if (kind.endsWith('lost')) wire.breakAt('COMMIT', kind === 'link-answer-lost')
        else wire.delay(by)
      }
      return mendWires
    }
  }
}
