import type { Opened } from './fill.ts'
import { API_FORM, CHAIN, FORM, JSON_BODY, pairOf, RUNS, run, tokenForm, type Under } from './load.ts'
import type { Runs } from './turns.ts'

/* Runs of one operation of the authority, the first of which only warms up, and whether what they did is right. */

/** How many sessions nobody ends. */
const SPARE = 50
const ACTIVE = '"active":true'

/** What was asked for after the runs, and how many of them were as they have to be. */
export type Asked = { dead: number; refused: number; live: number; accepted: number }

/** A way to end a session by its tokens. */
export type Call = { path: string; headers: string[]; bodyOf(tokens: Opened): string }

export const V1_REVOKE: Call = { path: '/v1/revoke', headers: JSON_BODY, bodyOf: pairOf }

/**
 * Ends sessions, a part of them in each run; each is refused afterwards, and those that were left are not.
 * @param prepare what is done with a part just before, outside the run
 * @param asked gets what was seen afterwards
 */
export async function* endingRuns(
  under: Under,
  live: Opened[],
  { path, headers, bodyOf }: Call,
  { prepare = async (some: Opened[]) => some, asked = [] as Asked[] } = {},
): Runs {
  const spare = live.splice(0, Math.min(SPARE, live.length >> 2))
  const size = Math.floor(live.length / (RUNS + 1))
  const dead: Opened[] = []
  for (let n = 0; n <= RUNS; n++) {
    const some = await prepare(live.splice(0, size))
    const what = { path, headers, bodies: some.map(bodyOf), counted: 'OAuth tokens revoked successfully' }
    const one = await run(under, what)
    if (one.having !== one.count) throw new Error(`${path} answered ${one.samples[0]}`)
    dead.push(...some)
    if (n > 0) yield one
  }
  const alive = await activeOf(under, dead)
  const accepted = await activeOf(under, spare)
  asked.push({ dead: dead.length, refused: dead.length - alive, live: spare.length, accepted })
  if (alive > 0) throw new Error(`${alive} tokens are called live and are not`)
  if (accepted < spare.length)
    throw new Error(`${spare.length - accepted} tokens are called dead and are not`)
}

/** How many of these access tokens introspection calls live. */
async function activeOf(under: Under, all: Opened[]): Promise<number> {
  const bodies = accessOf(all).map(tokenForm)
  const asked = { path: '/oauth/introspect', headers: API_FORM, bodies, counted: ACTIVE }
  return (await run(under, asked)).having
}

/** Introspects live tokens, each in turn, over and over. */
export async function* introspectionRuns(under: Under, live: Opened[]): Runs {
  const bodies = accessOf(live).map(tokenForm)
  const what = { path: '/oauth/introspect', headers: API_FORM, bodies, counted: ACTIVE }
  // Once through all of them warms up.
  await run(under, what)
  for (let n = 0; n < RUNS; n++) {
    const one = await run(under, { ...what, seconds: under.seconds })
    if (one.having !== one.count) throw new Error('a live token is called dead')
    yield one
  }
}

/** Refreshes sessions, over and over, each with the token that the last time gave. */
export async function* refreshRuns(under: Under, live: Opened[]): Runs {
  let bodies = live.map(({ refreshToken }) => `${refreshToken}`)
  for (let n = 0; n <= RUNS; n++) {
    const what = { path: '/oauth/token', headers: FORM, bodies, chain: CHAIN }
    const one = await run(under, { ...what, seconds: under.seconds })
    if (new Set(one.last).size !== bodies.length) throw new Error('two sessions have the same refresh token')
    bodies = one.last
    if (n > 0) yield one
  }
}

const accessOf = (all: Opened[]) => all.map(({ accessToken }) => accessToken)
