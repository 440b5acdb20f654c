import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { WebSocket } from 'ws'
import { AUDIENCE, CREDENTIALS, type FeedServer, placeOf, serveFeed, until } from '../test/peer.ts'
import { GuardError } from './errors.ts'
import { type FeedOptions, followFeed } from './feed.ts'
import type { Heartbeat, Position } from './protocol.ts'
import { listUri } from './status.ts'
import { createRevocationView, type RevocationView } from './view.ts'

const ISSUER = 'https://login.example'

type Message = Record<string, unknown>
const revocation = (seq: number, prev = seq - 1, what: Message = {}): Message => ({
  ...{
    type: 'revocation',
    ...placeOf(seq),
    prev,
    at: 1,
    sid: `s${seq}`,
    reason: 'user_logout',
    tokens: [seq],
  },
  ...what,
})
const heartbeat = (seq: number, prev = seq): Message => ({
  type: 'heartbeat',
  ...placeOf(seq),
  prev,
  at: 1,
  firstList: 0,
})
const ready = (seq: number, prev = seq): Message => ({
  ...heartbeat(seq, prev),
  ...{ type: 'ready', guard: 'g1', resources: [AUDIENCE], kids: ['k1'] },
})
/** Each message in a frame of its own. */
const say = (feed: WebSocket, ...messages: Message[]) => {
  for (const message of messages) feed.send(JSON.stringify(message))
}

let server: FeedServer
let feed: { close(): void } | undefined
let view: RevocationView
let errors: Error[]
let heard: string[]
let heartbeats: Heartbeat[]
let kids: string[][]
let loads: number

function follow(options: Partial<FeedOptions> = {}) {
  feed = followFeed({
    ...{ url: server.url, credentials: CREDENTIALS, audience: AUDIENCE, view },
    load: async () => {
      loads++
      return placeOf(0)
    },
    onHeartbeat: (heartbeat) => heartbeats.push(heartbeat),
    onAsking: () => heard.push('asking'),
    onFresh: (first) => heard.push(first ? 'ready' : 'fresh'),
    onKeys: (all) => kids.push(all),
    onError: (error) => errors.push(error),
    ...options,
  })
}
const dead = (index: number) =>
  view.dead({ iat: 0, clientId: 'app', status: { idx: index, uri: listUri(ISSUER, 0) } })
const dying = (...indexes: number[]) => indexes.filter(dead)
const readies = () => heard.filter((what) => what === 'ready').length
const visits = () => server.visits.map(({ since }) => since)
const lastAck = (visit: number) => server.said[visit]?.at(-1)

beforeEach(() => {
  view = createRevocationView(ISSUER)
  errors = []
  heard = []
  heartbeats = []
  kids = []
  loads = 0
})
afterEach(async () => {
  feed?.close()
  await server.close()
})

describe('following the feed', () => {
  it('says who asks and what is known from the status lists', async () => {
    server = await serveFeed((feed) => say(feed, ready(7)))
    follow({ load: async () => placeOf(7) })
    await until(() => readies() === 1)
    assert.equal(visits()[0], '7')
    // RFC 6749 §2.3.1: form-encoded, so that a colon or a space in a secret can't be misread.
    const sent = `${server.visits[0]?.authorization?.replace('Basic ', '')}`
    assert.equal(Buffer.from(sent, 'base64').toString(), 'the+api:a+secret%3A+100%25+%2B+more')
    assert.deepEqual(kids, [['k1']])
  })

  it('brings what was revoked, with several lines in a frame, and confirms it', async () => {
    server = await serveFeed((feed) => {
      feed.send(
        [revocation(1), revocation(2, 1, { jti: 't2' }), ready(2)].map((m) => JSON.stringify(m)).join('\n'),
      )
      say(feed, revocation(5, 2, { tokens: [5, 6] }))
    })
    follow()
    await until(() => readies() === 1 && lastAck(0) === '{"ack":5}')
    assert.deepEqual([dying(1, 2, 3, 4, 5, 6), view.seq], [[1, 2, 5, 6], 5])
  })

  it('is not ready before all that was revoked has come', async () => {
    server = await serveFeed((feed) => say(feed, revocation(1), heartbeat(1)))
    follow()
    await until(() => lastAck(0) === '{"ack":1}')
    assert.deepEqual([heard, heartbeats], [[], []])
    assert.ok(dead(1))
  })

  it('is not ready, nor fresh, by messages alone: they may have been on the way for long', async () => {
    server = await serveFeed((feed) => say(feed, ready(0), heartbeat(0), heartbeat(0), heartbeat(1, 0)), {
      autoPong: false,
    })
    follow()
    await until(() => heartbeats.length === 4)
    assert.deepEqual(heard, ['asking'], 'one question at a time')
  })

  it('is not fresh by an answer to nothing', async () => {
    let say1: (() => void) | undefined
    server = await serveFeed(
      (feed) => {
        feed.pong()
        feed.on('ping', () => feed.pong())
        say1 = () => {
          feed.pong()
          say(feed, heartbeat(0))
        }
        say(feed, revocation(1))
      },
      { autoPong: false },
    )
    follow()
    await until(() => dead(1))
    say1?.()
    await until(() => server.said[0]?.length === 2)
    assert.deepEqual(heard, [])
  })

  it('asks before it is answered, is ready once for each connection, and fresh after that', async () => {
    let open: WebSocket | undefined
    server = await serveFeed((feed) => {
      open = feed
      say(feed, ready(0))
    })
    follow()
    await until(() => readies() === 1)
    for (let n = 1; n <= 2; n++) {
      say(open as WebSocket, heartbeat(0))
      await until(() => heard.length === 2 * (n + 1))
    }
    assert.deepEqual(heard, ['asking', 'ready', 'asking', 'fresh', 'asking', 'fresh'])
    open?.terminate()
    await until(() => readies() === 2)
    assert.deepEqual(heard.slice(6), ['asking', 'ready'])
  })

  it('hands on which keys are announced, before it is ready too', async () => {
    server = await serveFeed((feed) =>
      say(feed, { type: 'keys', kids: ['k2'] }, ready(0), { type: 'keys', kids: [] }),
    )
    follow()
    await until(() => kids.length === 3)
    assert.deepEqual(kids, [['k2'], ['k1'], []])
  })

  it('resumes after a cut from the last revocation it has', async () => {
    server = await serveFeed((feed, visit) => {
      if (visit === 0) say(feed, revocation(1), ready(1), revocation(2))
      else say(feed, revocation(3), ready(3))
      if (visit === 0) feed.close(1012, 'restart')
    })
    follow()
    await until(() => readies() === 1 && dead(3))
    assert.deepEqual([visits(), loads], [['0', '2'], 1])
    assert.match(`${errors[0]?.message}`, /1012 restart/)
  })

  it('knows from a heartbeat that what was revoked meanwhile was not for it', async () => {
    server = await serveFeed((feed, visit) => {
      say(feed, ready(1), heartbeat(9, 1), heartbeat(12, 9))
      if (visit === 0) feed.close()
    })
    follow({ load: async () => placeOf(1) })
    await until(() => visits().length === 2)
    assert.deepEqual(visits(), ['1', '12'])
  })

  it('notices that a revocation is missing, and asks again from the last one without a gap', async () => {
    server = await serveFeed((feed, visit) => {
      if (visit === 0) say(feed, ready(0), revocation(1), revocation(3, 2))
      else say(feed, revocation(2), revocation(3), ready(3))
    })
    follow()
    await until(() => errors.length === 1)
    assert.deepEqual(dying(1, 2, 3), [1, 3], 'what came after the gap counts already')
    assert.match(`${errors[0]?.message}`, /missing/)
    await until(() => dead(2) && lastAck(1) === '{"ack":3}')
    assert.deepEqual(visits(), ['0', '1'])
    assert.ok(!server.said[0]?.includes('{"ack":3}'))
  })

  it('notices it by a heartbeat, and by a ready', async () => {
    server = await serveFeed((feed, visit) => {
      if (visit === 0) say(feed, ready(0), heartbeat(4, 4))
      else if (visit === 1) say(feed, revocation(2, 0), ready(4, 4))
      else say(feed, revocation(4, 2), ready(4))
    })
    follow()
    await until(() => readies() > 0 && dead(4))
    assert.deepEqual(visits(), ['0', '0', '2'])
  })

  it('notices that two came in the wrong order', async () => {
    server = await serveFeed((feed, visit) => {
      if (visit === 0) say(feed, ready(0), revocation(2), revocation(1))
      else say(feed, revocation(1), revocation(2), ready(2))
    })
    follow()
    await until(() => lastAck(1) === '{"ack":2}')
    assert.deepEqual(
      [visits(), dying(1, 2)],
      [
        ['0', '0'],
        [1, 2],
      ],
    )
  })

  it('takes duplicates and replays, which are heard once and lead nowhere', async () => {
    server = await serveFeed((feed) => {
      const all = [revocation(1), revocation(2), revocation(3)]
      say(feed, ...all, ready(3), ...all, ...all, revocation(4), ...all, heartbeat(4))
    })
    const seqs: number[] = []
    view.onApply(({ seq }) => seqs.push(seq))
    follow()
    await until(() => lastAck(0) === '{"ack":4}')
    assert.deepEqual([seqs, errors], [[1, 2, 3, 4], []])
  })

  it('reads the status lists again when the log does not reach back', async () => {
    server = await serveFeed((feed, visit) => say(feed, visit === 0 ? { type: 'reload' } : ready(50, 40)))
    follow({ load: async () => placeOf([10, 40][loads++] ?? 50) })
    await until(() => readies() === 1)
    assert.deepEqual([visits(), loads], [['10', '40'], 2])
  })

  it('reads them again when the log is behind the one that it followed', async () => {
    server = await serveFeed((feed, visit) => say(feed, ready(visit === 0 ? 4 : 5, 4)))
    follow({ load: async () => placeOf([5, 4][loads++] ?? 0) })
    await until(() => readies() === 1)
    assert.deepEqual([visits(), loads], [['5', '4'], 2])
  })

  it('says which log it followed, and reads them again when this is another one', async () => {
    const others = { tag: 'of-another' }
    const told: Message[][] = [
      [{ ...ready(3), ...others }],
      [ready(3), { ...heartbeat(3), ...others }],
      [ready(3), { ...revocation(3), ...others }],
      [ready(3), { ...revocation(3, 2, { jti: 't9' }), ...others }],
    ]
    server = await serveFeed((feed, visit) => say(feed, ...(told[visit] ?? [ready(3)])))
    follow({
      load: async () => {
        loads++
        return placeOf(3)
      },
    })
    await until(() => loads === 5)
    await until(() => readies() > 0)
    assert.deepEqual(new Set(server.visits.map(({ since, tag }) => `${since} ${tag}`)), new Set(['3 tag-3']))
    assert.match(`${errors[0]?.message}`, /status lists again/)
  })

  it('goes by nothing that follows in the same breath', async () => {
    server = await serveFeed((feed, visit, socket) => {
      if (visit > 0) return say(feed, ready(9, 9))
      // In one packet, so that the second is there when the first one ends the connection.
      socket.cork()
      say(feed, ready(2), { type: 'reload' }, revocation(3, 0), ready(9, 3), heartbeat(9, 9))
      feed.pong()
      socket.uncork()
    })
    follow({ load: async () => placeOf([2, 9][loads++] ?? 0) })
    await until(() => readies() === 1)
    assert.deepEqual([visits(), loads, heartbeats.length], [['2', '9'], 2, 2])
    assert.deepEqual(heard, ['asking', 'asking', 'ready'], 'nor by a pong')
  })

  it('does not take a backlog for whole of which it saw only a part', async () => {
    server = await serveFeed((feed, visit) => {
      if (visit === 0) say(feed, revocation(6, 0), revocation(7, 6))
      else say(feed, revocation(8, 7), ready(8))
      if (visit === 0) feed.terminate()
    })
    follow()
    await until(() => readies() === 1)
    assert.ok(['7', '6', '0'].includes(`${visits()[1]}`), `${visits()}`)
    assert.ok(dead(8))
  })
})

describe('a feed that misbehaves', () => {
  const frames: Record<string, string | Buffer> = {
    'that is no JSON': 'x',
    'that is empty': '',
    'that is null': 'null',
    'without a seq': '{"type":"heartbeat"}',
    'of a session that is a number': JSON.stringify(revocation(1, 0, { sid: 9 })),
    'with a token that is no number': JSON.stringify(revocation(1, 0, { tokens: ['1'] })),
    'that is ahead of itself': JSON.stringify(heartbeat(1, 2)),
    'that is not text': Buffer.from(JSON.stringify(revocation(1, 0))),
    'that is longer than anything': JSON.stringify(revocation(1, 0, { pad: 'x'.repeat(5_000_000) })),
    'that is deeply nested': '['.repeat(100_000),
  }
  for (const [what, frame] of Object.entries(frames)) {
    it(`is left at a frame ${what}, of which nothing counts; then resumed`, async () => {
      server = await serveFeed((feed, visit) => {
        say(feed, ready(0))
        if (visit === 0) feed.send(frame)
        else say(feed, revocation(2, 0))
      })
      follow()
      await until(() => dead(2))
      assert.deepEqual([visits(), dying(1), errors.length], [['0', '0'], [], 1])
      assert.doesNotMatch(`${errors[0]?.message}`, /silent/)
    })
  }

  const bytes: Record<string, Buffer> = {
    'text that is no UTF-8': Buffer.from([0x81, 2, 0xc3, 0x28]),
    'reserved bits': Buffer.from([0xf1, 1, 0x78]),
    'an unknown opcode': Buffer.from([0x83, 0]),
    'a mask': Buffer.from([0x81, 0x81, 1, 2, 3, 4, 5]),
    'a ping that is too long': Buffer.concat([Buffer.from([0x89, 126, 0, 200]), Buffer.alloc(200)]),
    'a close for no known reason': Buffer.from([0x88, 2, 0, 1]),
    'a length beyond all memory': Buffer.from([0x81, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
    'no WebSocket at all': Buffer.from('HTTP/1.1 200 OK\r\n\r\nhello'),
  }
  for (const [what, raw] of Object.entries(bytes)) {
    it(`is left when it sends ${what}, then resumed`, async () => {
      server = await serveFeed((feed, visit, socket) => {
        say(feed, ready(0))
        if (visit === 0) socket.write(raw)
        else say(feed, revocation(1))
      })
      follow()
      await until(() => dead(1))
      assert.deepEqual([visits(), errors.length], [['0', '0'], 1])
    })
  }

  it('counts up to the first line of a frame that can’t be read', async () => {
    server = await serveFeed((feed, visit) => {
      const lines = [ready(0), revocation(1), { type: 'other' }, revocation(2)]
      if (visit === 0) feed.send(lines.map((line) => JSON.stringify(line)).join('\n'))
    })
    follow()
    await until(() => visits().length === 2)
    assert.deepEqual([visits(), dying(1, 2)], [['0', '1'], [1]])
  })

  it('is left when it names more lists than can be held, and does not pass for applied', async () => {
    const tokens = Array.from({ length: 8_193 }, (_, list) => list * 131_072)
    server = await serveFeed((feed) => say(feed, ready(0), revocation(1, 0, { tokens })))
    follow()
    await until(() => visits().length === 2)
    assert.deepEqual([visits(), errors[0]?.constructor.name], [['0', '0'], 'RangeError'])
  })

  it('is left when it goes silent, whatever its pings say', async () => {
    server = await serveFeed((feed) => {
      say(feed, ready(0))
      const pings = setInterval(() => feed.ping(), 100)
      feed.on('close', () => clearInterval(pings))
    })
    follow()
    await until(() => visits().length === 2)
    assert.match(`${errors[0]?.message}`, /silent/)
  })

  it('is not left while it says something now and then', async () => {
    server = await serveFeed((feed) => {
      say(feed, ready(0))
      const beats = setInterval(() => say(feed, heartbeat(0)), 250)
      feed.on('close', () => clearInterval(beats))
    })
    follow()
    await until(() => heartbeats.length >= 16)
    assert.deepEqual([visits(), errors], [['0'], []])
  })

  it('is told when it does not let us in: what to mend for bad credentials, else what it answered', async () => {
    const answers = [401, 403, 503, 302, 200]
    server = await serveFeed((feed) => say(feed, ready(0)), { refuse: (visit) => answers[visit] })
    follow()
    await until(() => readies() === 1)
    const codes = errors.map((error) => (error instanceof GuardError ? error.code : error.message))
    const told = ['the feed answered 503', 'the feed answered 302', 'the feed answered 200']
    assert.deepEqual(codes, ['CONFIGURATION', 'CONFIGURATION', ...told])
    assert.deepEqual(new Set(visits()), new Set(['0']))
    for (const { message } of errors) assert.doesNotMatch(message, /secret/)
  })

  it('is visited less and less often while it refuses, and soon again after it was well', async () => {
    server = await serveFeed((feed) => say(feed, ready(0)), {
      refuse: (visit) => (visit < 5 ? 503 : undefined),
    })
    follow()
    await until(() => readies() === 1)
    const at = server.visits.map((visit) => visit.at)
    const waits = at.slice(1).map((time, i) => time - (at[i] as number))
    // 100, 200, 400, 800, 1600 ms, each at least half.
    assert.ok((waits[3] as number) >= 380 && (waits[4] as number) >= 780, `${waits}`)
    feed?.close()
  })

  it('is visited soon again after it was well, however often it failed before', async () => {
    let cut = () => {}
    server = await serveFeed(
      (feed) => {
        say(feed, ready(0))
        cut = () => feed.terminate()
      },
      { refuse: (visit) => (visit < 5 ? 503 : undefined) },
    )
    follow()
    await until(() => readies() === 1)
    const from = performance.now()
    cut()
    await until(() => visits().length === 7)
    // Without starting small again it would be 1600 ms at least.
    assert.ok(performance.now() - from < 1_500)
  })

  it('is followed on when the lists can’t be read at first, or whoever hears of errors throws', async () => {
    server = await serveFeed((feed) => say(feed, ready(0)))
    follow({
      load: async () => {
        if (++loads < 3) throw new Error('not yet')
        return placeOf(0)
      },
      onError(error) {
        errors.push(error)
        throw new Error('mine')
      },
    })
    await until(() => readies() === 1)
    assert.deepEqual([loads, errors.map(({ message }) => message)], [3, ['not yet', 'not yet']])
  })

  it('is left alone once the following is closed', async () => {
    let open: WebSocket | undefined
    server = await serveFeed((feed) => {
      open = feed
      say(feed, ready(0))
    })
    follow()
    await until(() => readies() === 1)
    feed?.close()
    feed?.close()
    const before = heard.length
    say(open as WebSocket, revocation(1), heartbeat(1))
    await until(() => open?.readyState === open?.CLOSED)
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.deepEqual([heard.length, dying(1), errors, visits()], [before, [], [], ['0']])
  })

  it('can be left while the lists are read, or while it waits', async () => {
    server = await serveFeed((feed) => say(feed, ready(0)))
    let loaded: (place: Position) => void = () => {}
    follow({ load: () => new Promise((resolve) => (loaded = resolve)) })
    feed?.close()
    loaded(placeOf(0))
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.deepEqual([readies(), errors], [0, []])
  })
})

describe('what a guard acknowledges', () => {
  const ackOf = (text: string) => Number(/^\{"ack":(\d+)\}$/.exec(text)?.[1] ?? Number.NaN)

  it('is never more than it has applied, only grows, and comes for heartbeats too', async () => {
    let applied = 0
    const ahead: string[] = []
    let open: WebSocket | undefined
    server = await serveFeed((feed) => {
      open = feed
      feed.on('message', (data) => {
        if (!(ackOf(`${data}`) <= applied)) ahead.push(`${data}`)
      })
      say(feed, ready(0))
    })
    view.onApply(({ seq }) => {
      applied = seq
    })
    follow()
    await until(() => readies() === 1)
    for (let seq = 1; seq <= 2_000; seq++) say(open as WebSocket, revocation(seq))
    await until(() => lastAck(0) === '{"ack":2000}')
    const acks = (server.said[0] ?? []).map(ackOf)
    assert.deepEqual(ahead, [])
    assert.deepEqual(
      acks,
      acks.toSorted((a, b) => a - b),
    )
    assert.ok(acks.length < 2_000, 'many messages get one')
    say(open as WebSocket, heartbeat(2_000))
    await until(() => server.said[0]?.length === acks.length + 1)
    assert.equal(lastAck(0), '{"ack":2000}')
  })

  it('stops at a gap, whatever came behind it', async () => {
    server = await serveFeed((feed, visit) => {
      if (visit === 0)
        say(feed, ready(0), revocation(1), revocation(5, 4), revocation(6, 5), revocation(7, 6))
    })
    follow()
    await until(() => visits().length === 2)
    assert.equal(visits()[1], '1')
    assert.ok((server.said[0] ?? []).map(ackOf).every((ack) => ack <= 1))
  })

  it('goes on with what is missing while another guard of the process is flooded', async () => {
    const flooded = await serveFeed((feed) => {
      say(feed, ready(0))
      let seq = 0
      const flood = setInterval(() => {
        for (let i = 0; i < 20; i++) say(feed, revocation(++seq))
      }, 1)
      feed.on('close', () => clearInterval(flood))
    })
    server = await serveFeed((feed) => say(feed, ready(0), revocation(1)))
    follow({ url: flooded.url, view: createRevocationView(ISSUER) })
    const other = feed
    follow()
    await until(() => lastAck(0) === '{"ack":1}')
    other?.close()
    await flooded.close()
  })
})
