import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import type { ResourceConfig } from '../config.ts'
import type { LoggedRevocation } from '../domain/revocation.ts'
import type { Store } from '../store/store.ts'
import { createFeed, type Feed } from './feed.ts'

const API = 'https://api.example'
/** So many that they are not written to at once. */
const MANY = 70

const HANDSHAKE = {
  ...{ method: 'GET', url: '/feed', socket: {} },
  headers: {
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  },
} as unknown as IncomingMessage

function revocationOf(seq: number): LoggedRevocation {
  const who = { sid: `s${seq}`, sub: 'a', clientId: 'app', reason: 'user_logout', actor: 'test' } as const
  return { what: 'session', at: 1, ...who, tokens: [], audiences: [API], seq, tag: `t${seq}` }
}

describe('the feed of a store that others write to', () => {
  const log: LoggedRevocation[] = []
  let committed = 0
  const read = async ({ kind }: { kind: string }) =>
    kind === 'head' ? { first: 1, seq: log.length, tag: '', records: 0 } : []
  const feed: Feed = createFeed({
    ...{ store: { read } as unknown as Store, head: { seq: 0, tag: '' }, now: Date.now, kids: () => [] },
    ...{ resources: [{ resource: API, client_id: 'api' }] as ResourceConfig[], trustProxy: false },
    // What others have committed is published before it resolves.
    async caughtUp() {
      while (log.length < committed) {
        const next = revocationOf(log.length + 1)
        log.push(next)
        feed.publish(next)
      }
    },
    ...{ firstList: () => 0, onAcknowledged: () => {}, onSeen: () => {} },
  })

  it('says that a guard has everything only after it has sent it, however many there are', async () => {
    const wires = Array.from({ length: MANY }, () => {
      const written: Buffer[] = []
      const wire = new Duplex({
        read() {},
        write(chunk, _, done) {
          written.push(chunk)
          done()
        },
      })
      assert.ok(feed.connect(HANDSHAKE, wire, Buffer.alloc(0), 'api', { seq: 0, tag: '' }))
      return { wire, written }
    })
    while (wires.some(({ written }) => written.length < 2))
      await new Promise((resolve) => setTimeout(resolve, 5))
    committed = 1
    // A ping of a client (RFC 6455 §5.5.2), masked with zeros.
    wires[0]?.wire.push(Buffer.from([0x89, 0x80, 0, 0, 0, 0]))
    await new Promise((resolve) => setTimeout(resolve, 20))
    const kinds = wires[0]?.written.slice(2).map((frame) => `${frame}`.match(/"type":"(\w+)"/)?.[1] ?? 'pong')
    assert.deepEqual(kinds?.slice(0, 2), ['revocation', 'pong'])

    committed = 2
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    for (const { written } of wires) {
      let has = 0
      const lines = written.slice(1).flatMap((frame) => `${frame}`.match(/\{"type".*\}/g) ?? [])
      for (const { seq, prev } of lines.map((line) => JSON.parse(line))) {
        assert.ok(prev <= has, 'nothing is said to come before what was not sent')
        has = seq
      }
      assert.equal(has, 2)
    }
    feed.close()
  })
})
