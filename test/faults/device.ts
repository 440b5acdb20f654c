import { createBrowser } from '../../tools/browser.ts'
import type { Client, Held } from './client.ts'
import { type Entry, now } from './history.ts'
import type { Random } from './random.ts'
import type { Person } from './world.ts'

const ACTIONS = {
  check: 30,
  introspect: 20,
  refresh: 32,
  'revoke-pair': 3,
  'revoke-access': 3,
  'revoke-refresh': 2,
  ticket: 3,
  others: 0.5,
  'sign-in-again': 0.5,
}
/** A refresh whose answer was lost is tried again for so long, in ms: within its grace. */
const REFRESH_AGAIN = 6_000
const TRIES = 6
/** When what died is looked at, in ms after the answer. */
const LOOKS = [0, 300, 7_050, 10_000]

export type Device = {
  /** What it is signed in to. */
  held: Held | undefined
  /** Every session it ever had, with the newest tokens of each. */
  sessions: Held[]
  run(): Promise<void>
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))

/**
 * A device of a person: signs in, uses and refreshes its session, ends it, begins anew.
 * @param until on the clock of the history
 */
export function createDevice(options: {
  client: Client
  person: Person
  random: Random
  until: () => boolean
}): Device {
  const { client, person, random, until } = options
  const browser = createBrowser()
  const looks: Promise<unknown>[] = []
  const device: Device = { held: undefined, sessions: [], run }

  async function run() {
    while (!until()) {
      // All that a step decides is drawn before anything is asked, so that answers change no later decision.
      const step = {
        action: random.weighed(ACTIONS),
        place: random.between(0, 59),
        rest: random.between(20, 350),
      }
      if (!device.held) {
        device.held = await client.signIn(browser, person)
        if (device.held) device.sessions.push(device.held)
        else await pause(500)
      } else await act(device.held, step.action, step.place)
      await pause(step.rest)
    }
    await Promise.all(looks)
  }
  async function act(held: Held, action: keyof typeof ACTIONS, place: number) {
    switch (action) {
      case 'check':
        return client.check(held, place)
      case 'introspect':
        return client.introspect(held, place)
      case 'refresh':
        return held.stopped ? client.introspect(held, place) : refresh(held, place)
      case 'sign-in-again':
        // The session is left as it is: somebody who has lost their tokens.
        device.held = undefined
        return
      case 'others':
        return insist(held, place, (at) => client.endOthers(held, at))
      case 'revoke-access': {
        const { outcome } = await insist(held, place, (at) => client.end(held, action, at))
        if (outcome === 'ok' && !held.stopped) await refresh(held, place)
        else device.held = undefined
        return
      }
      case 'revoke-refresh': {
        if (held.stopped) return client.check(held, place)
        const { outcome } = await insist(held, place, (at) => client.endByOne(held, action, at))
        if (outcome === 'ok') held.stopped = true
        else device.held = undefined
        return
      }
      default: {
        const ended = (at: number) =>
          action === 'ticket' ? client.endByOne(held, action, at) : client.end(held, action, at)
        device.held = undefined
        return insist(held, place, ended)
      }
    }
  }
  async function refresh(held: Held, place: number) {
    const began = now()
    for (let at = place; ; at++) {
      const { outcome } = await client.refresh(held, at)
      if (outcome === 'ok') return
      // What was ended meanwhile, or has to wait.
      const again = outcome === 'unknown' && now() - began < REFRESH_AGAIN && !until()
      if (!again) {
        if (outcome === 'unknown') held.lost = true
        device.held = undefined
        return
      }
      await pause(150)
    }
  }
  /** Asks one process after the other until one has answered; then looks whether it is so, everywhere. */
  async function insist(held: Held, place: number, work: (place: number) => Promise<Entry>): Promise<Entry> {
    const before = { ...held }
    let entry = await work(place)
    for (let n = 1; n < TRIES && entry.outcome === 'unknown' && !until(); n++) {
      await pause(200)
      entry = await work(place + n)
    }
    if (entry.outcome !== 'unknown' && entry.what !== 'others') looks.push(lookEverywhere(before))
    return entry
  }
  async function lookEverywhere(held: Held) {
    const began = now()
    for (const after of LOOKS) {
      await pause(after - (now() - began))
      const everywhere = Array.from({ length: client.places }, (_, place) => client.introspect(held, place))
      await Promise.all([...everywhere, client.check(held, 0), client.check(held, 1)])
    }
  }
  return device
}
