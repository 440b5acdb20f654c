import type { Opened } from './fill.ts'
import { API_FORM, CHAIN, FORM, JSON_BODY, pairOf, RUNS, run, tokenForm, type Under } from './load.ts'
import type { Runs } from './turns.ts'

/* Runs of one operation of the authority, the first of which only warms up, and whether what they did is right. */

/** How many are asked for afterwards, of what each run ended and of what none did. */
const ASKED = 50

/** A way to end a session by its tokens. */
export type Call = { path: string; headers: string[]; bodyOf(tokens: Opened): string }

export const V1_REVOKE: Call = { path: '/v1/revoke', headers: JSON_BODY, bodyOf: pairOf }

/**
 * Ends sessions, a part of them in each run; some of them are refused afterwards, and some that were left are not.
 * @param prepare what is done with a part just before, outside the run
 */
export async function* endingRuns(
  under: Under,
  live: Opened[],
  { path, headers, bodyOf }: Call,
  prepare = async (some: Opened[]) => some,
): Runs {
  const spare = live.splice(0, Math.min(ASKED, live.length >> 2))
  const size = Math.floor(live.length / (RUNS + 1))
  const dead: Opened[] = []
  for (let n = 0; n <= RUNS; n++) {
    const some = await prepare(live.splice(0, size))
    const one = await run(under, { path, headers, bodies: some.map(bodyOf) })
    if (!one.samples.every((body) => body.includes('OAuth tokens revoked successfully')))
      throw new Error(`${path} answered ${one.samples[0]}`)
    dead.push(...some.filter((_, i) => i % Math.ceil(size / ASKED) === 0))
    if (n > 0) yield one
  }
  await checkTokens((token) => isActive(under, token), accessOf(dead), accessOf(spare))
}

/** Introspects live tokens, each in turn, over and over. */
export async function* introspectionRuns(under: Under, live: Opened[]): Runs {
  const bodies = accessOf(live).map(tokenForm)
  const what = { path: '/oauth/introspect', headers: API_FORM, bodies }
  // Once through all of them warms up.
  await run(under, what)
  for (let n = 0; n < RUNS; n++) {
    const one = await run(under, { ...what, seconds: under.seconds })
    if (!one.samples.every((body) => JSON.parse(body).active)) throw new Error('a live token is called dead')
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

async function isActive(under: Under, token: string): Promise<boolean> {
  const what = { path: '/oauth/introspect', headers: API_FORM, bodies: [tokenForm(token)], connections: 1 }
  const { samples } = await run(under, what)
  return JSON.parse(`${samples[0]}`).active
}

/** Asks for each, one by one. @throws Error when one of the dead is called live, or one of the living dead */
export async function checkTokens(
  isActive: (token: string) => Promise<boolean>,
  dead: string[],
  live: string[],
): Promise<void> {
  for (const token of dead) if (await isActive(token)) throw new Error('a token is called live and is not')
  for (const token of live) if (!(await isActive(token))) throw new Error('a token is called dead and is not')
}
