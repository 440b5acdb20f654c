import { type Violation, violations } from './check.ts'
import { type Client, createClient, type Held } from './client.ts'
import { collect } from './collect.ts'
import { deathsIn } from './deaths.ts'
import { createDevice, type Device } from './device.ts'
import type { Final } from './final.ts'
import { createHistory, type Entry, type History, now } from './history.ts'
import { inject } from './inject.ts'
import { createRandom } from './random.ts'
import { report } from './report.ts'
import { type Plan, schedule } from './schedule.ts'
import { startWorld, type World } from './world.ts'

/** For everything to be ready after all was healed, in ms. */
const RECOVERY = 60_000
const GUARDS = 2

export type Trial = {
  violations: Violation[]
  entries: readonly Entry[]
  report: string[]
  /** Where the processes wrote, when something was violated. */
  folder: string
}

/**
 * Load on a world that breaks all the time, then a look at what is left.
 * @param note hears what happens
 */
export async function runTrial(
  plan: Omit<Plan, 'guards'> & { people: number; devices: number },
  note: (line: string) => void,
): Promise<Trial> {
  const { seed, seconds, processes, people, replica } = plan
  const world = await startWorld({ processes, guards: GUARDS, people, replica })
  let keep = true
  try {
    note(`${processes} processes and ${GUARDS} guards are up; see ${world.folder}`)
    const history = createHistory()
    const client = createClient(world, history)
    const end = now() + seconds * 1_000
    let over = false
    const devices = Array.from({ length: plan.devices }, (_, n) =>
      createDevice({
        ...{ client, until: () => over || now() > end + 60_000 },
        person: world.people[n % people] as World['people'][number],
        random: createRandom(seed, `device ${n}`),
      }),
    )
    const running = Promise.all(devices.map((device) => device.run()))
    const injected = await inject(world, schedule({ ...plan, guards: GUARDS }), note)
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, end - now())))
    await world.heal()
    note(`${Math.round(now())} ms healed`)
    const notReady = await world.getReady(RECOVERY)
    over = true
    await running
    await lookAtTheEnd(client, devices, history)
    const final: Final = { ...(await collect(world)), clocksApart: injected.clocksApart, notReady }
    const found = violations(history.entries, final)
    keep = found.length > 0
    const { entries } = history
    return { violations: found, entries, report: report(entries, final, injected), folder: world.folder }
  } finally {
    await world.stop(keep)
  }
}

/** What nobody ended refreshes; what was said to be dead is dead, at every process and guard. */
async function lookAtTheEnd(client: Client, devices: readonly Device[], history: History): Promise<void> {
  const dead = deathsIn(history.entries).sessions
  const work: (() => Promise<unknown>)[] = []
  for (const { sessions } of devices) {
    for (const one of sessions) {
      if (!dead.has(one.sid)) {
        if (!one.stopped && !one.lost) work.push(() => useAtLast(client, one))
        continue
      }
      work.push(() => client.refresh(one, one.sid.length, true))
      if (one.expires < Date.now()) continue
      work.push(() => lookOnce(client, one))
    }
  }
  const next = async () => {
    for (let one = work.shift(); one; one = work.shift()) await one()
  }
  await Promise.all(Array.from({ length: 8 }, next))
}

async function useAtLast(client: Client, held: Held): Promise<void> {
  for (let place = 0; place < 5; place++) {
    const { outcome } = await client.refresh(held, place, true)
    if (outcome === 'unknown') continue
    if (outcome === 'ok') await lookOnce(client, held)
    return
  }
}

async function lookOnce(client: Client, held: Held): Promise<void> {
  for (let place = 0; place < client.places; place++) await client.introspect(held, place, true)
  for (let guard = 0; guard < GUARDS; guard++) await client.check(held, guard, true)
}
