import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { WebSocket } from 'ws'
import { AUDIENCE, CREDENTIALS, placeOf, serveFeed, until } from '../test/peer.ts'
import { followFeed } from './feed.ts'
import { readAck, readMessage } from './protocol.ts'
import { listUri } from './status.ts'
import { createRevocationView } from './view.ts'

const ISSUER = 'https://login.example'
const VISITS = 4
const FOLLOWERS = 60

type Fault = { what: 'drop' | 'twice' | 'swap' | 'garbage' | 'pong' | 'old'; at: number; garbage: string }
/** How far the log goes in steps, and what goes wrong at each visit. */
type Plan = { steps: number[]; visits: { faults: Fault[]; cork: boolean; cut: number }[] }

const unreadable = (line: string) => {
  try {
    readMessage(line)
    return false
  } catch {
    return true
  }
}
const garbage = fc.oneof(
  fc.json({ maxDepth: 2 }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '{"type":"heartbeat","seq":5,"prev":6,"at":1,"firstList":0}',
    '{"type":"ready","seq":99,"prev":0,"at":1,"firstList":0}',
    '{"type":"revocation","seq":99,"prev":0,"at":1,"sid":"s1","reason":"x","tokens":["7"]}',
    '{"type":"reload"}{"type":"reload"}',
    '',
  ),
)
const plan: fc.Arbitrary<Plan> = fc.record({
  steps: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 12 }),
  visits: fc.array(
    fc.record({
      faults: fc.array(
        fc.record({
          what: fc.constantFrom<Fault['what']>('drop', 'twice', 'swap', 'garbage', 'pong', 'old'),
          at: fc.nat(),
          garbage: garbage.filter(unreadable),
        }),
        { maxLength: 4 },
      ),
      cork: fc.boolean(),
      cut: fc.nat(20),
    }),
    { minLength: VISITS, maxLength: VISITS },
  ),
})

/** What an honest authority would say to who has everything up to `since`. */
function honest(seqs: number[], since: number): string[] {
  const last = seqs.at(-1) as number
  const rest = { at: 1, firstList: 0 }
  let prev = since
  const lines = seqs
    .filter((seq) => seq > since)
    .map((seq) => {
      const record = { ...placeOf(seq), prev, at: 1, sid: `s${seq}`, reason: 'user_logout', tokens: [seq] }
      prev = seq
      return JSON.stringify({ type: 'revocation', ...record })
    })
  lines.push(
    JSON.stringify({
      type: 'ready',
      ...placeOf(last + 1),
      prev,
      ...rest,
      guard: 'g1',
      resources: [AUDIENCE],
      kids: ['k1'],
    }),
  )
  for (let i = 1; i < 3; i++)
    lines.push(JSON.stringify({ type: 'heartbeat', ...placeOf(last + 1), prev: last + 1, ...rest }))
  return lines
}

function spoil(lines: string[], faults: Fault[]): (string | undefined)[] {
  const spoilt: (string | undefined)[] = [...lines]
  for (const { what, at, garbage } of faults) {
    const where = at % spoilt.length
    if (what === 'drop') spoilt.splice(where, 1)
    else if (what === 'twice') spoilt.splice(where, 0, spoilt[where])
    else if (what === 'old') spoilt.push(spoilt[where])
    else if (what === 'garbage') spoilt.splice(where, 0, garbage)
    // Nothing: a pong that nobody asked for.
    else if (what === 'pong') spoilt.splice(where, 0, undefined)
    else if (where > 0) [spoilt[where], spoilt[where - 1]] = [spoilt[where - 1], spoilt[where]]
    if (spoilt.length === 0) break
  }
  return spoilt
}

/** One guard and its feed, which lies, loses and mixes up, then comes to its senses. */
async function play({ steps, visits }: Plan): Promise<number> {
  const view = createRevocationView(ISSUER)
  const dead = (seq: number) =>
    view.dead({ iat: 0, clientId: 'app', status: { idx: seq, uri: listUri(ISSUER, 0) } })
  let head = 0
  const seqs = steps.map((step) => {
    head += step
    return head
  })
  const wrong: string[] = []
  let fresh = 0
  let sent = 0
  const welcome = (feed: WebSocket, visit: number) => {
    const since = Number(server.visits[visit]?.since)
    const behind = (seq: number) => seqs.filter((one) => one <= seq && !dead(one))
    if (behind(since).length > 0) wrong.push(`came back with ${since} without ${behind(since)}`)
    feed.on('message', (data) => {
      const ack = readAck(`${data}`)
      if (ack === undefined || behind(ack).length > 0) wrong.push(`said ${data} without ${behind(ack ?? 0)}`)
    })
    const lines = honest(seqs, since)
    const { faults, cork, cut } = visits[visit] ?? { faults: [], cork: false, cut: Infinity }
    const told = spoil(lines, faults).slice(0, cut)
    sent += told.length
    const socket = (feed as unknown as { _socket: { cork(): void; uncork(): void } })._socket
    if (cork) socket.cork()
    for (const line of told) {
      if (line === undefined) feed.pong()
      else feed.send(line)
    }
    if (visit < visits.length) feed.close(1012)
    if (cork) socket.uncork()
  }
  const server = await serveFeed(welcome)
  const feed = followFeed({
    ...{ url: server.url, credentials: CREDENTIALS, audience: AUDIENCE, view },
    load: async () => placeOf(0),
    onHeartbeat() {},
    onAsking() {},
    onKeys() {},
    onFresh() {
      fresh++
      const missing = seqs.filter((seq) => !dead(seq))
      if (missing.length > 0) wrong.push(`is fresh without ${missing}`)
    },
  })
  try {
    await until(() => wrong.length > 0 || (server.visits.length > visits.length && fresh > 0))
    await until(() => wrong.length > 0 || server.said.at(-1)?.includes(`{"ack":${head + 1}}`))
  } finally {
    feed.close()
    await server.close()
  }
  assert.deepEqual(wrong, [])
  return sent
}

describe('whatever a feed says', () => {
  it('nothing is missed, nothing is confirmed that was not applied, and nothing breaks (60 guards)', async (context) => {
    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
    context.diagnostic(`SEED=${seed}`)
    const plans = fc.sample(plan, { numRuns: FOLLOWERS, seed })
    let sent = 0
    for (let first = 0; first < plans.length; first += 20) {
      const some = plans.slice(first, first + 20)
      const all = await Promise.allSettled(some.map(play))
      all.forEach((one, i) => {
        if (one.status === 'rejected') assert.fail(`SEED=${seed}: ${one.reason}\n${JSON.stringify(some[i])}`)
        sent += one.value
      })
    }
    assert.ok(sent > FOLLOWERS * VISITS, `${sent}`)
  })
})
