import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { CREDENTIALS, type Peer, startPeer, until } from '../test/peer.ts'
import { followFeed, readMessage } from './feed.ts'
import { createRevocationView, type RevocationView } from './view.ts'

const EXP = Math.ceil(Date.now() / 1000) + 600
const line = (seq: number, what: Record<string, unknown> = {}) =>
  `${JSON.stringify({ type: 'revocation', seq, at: 1, sid: `s${seq}`, exp: EXP, reason: 'user_logout', ...what })}\n`

describe('a message of the feed', () => {
  it('is read strictly', () => {
    assert.deepEqual(readMessage(line(3, { jti: 't1', more: 'is ignored' })), {
      type: 'revocation',
      seq: 3,
      record: { seq: 3, at: 1, sid: 's3', jti: 't1', exp: EXP, reason: 'user_logout' },
    })
    assert.deepEqual(readMessage('{"type":"heartbeat","seq":0}'), { type: 'heartbeat', seq: 0 })
  })

  it('is refused when it is of another shape', () => {
    const values = {
      seq: [-1, 1.5, '1', null, 2 ** 60],
      at: ['1', null],
      sid: ['', 7, null, 'x'.repeat(257)],
    }
    const more = { jti: ['', 7, null], exp: ['1', null, -1], reason: ['', 7, null], type: ['other', null, 7] }
    for (const [name, bad] of Object.entries({ ...values, ...more })) {
      for (const value of bad)
        assert.throws(() => readMessage(line(3, { [name]: value })), `${name}: ${value}`)
    }
    for (const text of [
      '',
      'null',
      '7',
      '[]',
      '"x"',
      '{}',
      '{"type":"ready"}',
      '{',
      `{"seq":1}${' '.repeat(65536)}`,
    ])
      assert.throws(() => readMessage(text), text.slice(0, 20))
  })
})

describe('following the feed', () => {
  let peer: Peer
  let view: RevocationView
  let errors: Error[]
  let readies: number
  let heard: number
  let feed: { close(): void }

  const follow = (options: { url?: string; signal?: AbortSignal; fetch?: typeof fetch } = {}) => {
    feed = followFeed({
      url: `${peer.issuer}/feed`,
      credentials: CREDENTIALS,
      view,
      onReady: () => readies++,
      onHeard: () => heard++,
      onError: (error) => errors.push(error),
      ...options,
    })
  }
  let closers: (() => void)[] = []
  const serve = async (listener: RequestListener): Promise<string> => {
    const server = createServer(listener)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closers.push(() => server.close().closeAllConnections())
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/feed`
  }
  const asked = () => peer.seen.filter(({ path }) => path === '/feed')

  beforeEach(async () => {
    peer = await startPeer()
    view = createRevocationView()
    errors = []
    readies = 0
    heard = 0
  })
  afterEach(async () => {
    feed.close()
    for (const close of closers) close()
    closers = []
    await peer.stop()
  })

  it('brings what was revoked before and what is revoked now, and says who asks', async () => {
    peer.revoke({ sid: 's1' })
    follow()
    await until(() => readies === 1)
    assert.ok(view.dead({ sid: 's1', jti: 'any' }))
    peer.revoke({ sid: 's2', jti: 't2' })
    await until(() => view.dead({ sid: 's2', jti: 't2' }))
    const [first] = asked()
    assert.equal(first?.since, null)
    // RFC 6749 §2.3.1: form-encoded, so that a colon or a space in a secret can't be misread.
    const sent = Buffer.from(`${first?.authorization?.replace('Basic ', '')}`, 'base64').toString()
    assert.equal(sent, 'the+api:a+secret%3A+100%25+%2B+more')
  })

  it('resumes after a cut from where it was, and takes duplicates', async () => {
    peer.revoke({ sid: 's1' })
    follow()
    await until(() => readies === 1)
    peer.cut()
    peer.revoke({ sid: 's2' })
    await until(() => view.dead({ sid: 's2', jti: 'any' }))
    assert.equal(asked().at(-1)?.since, '1')
    peer.write(line(1).repeat(3))
    peer.revoke({ sid: 's3' })
    await until(() => view.dead({ sid: 's3', jti: 'any' }))
    assert.equal(view.size, 3)
  })

  it('comes back when the authority does', async () => {
    follow()
    await until(() => readies === 1)
    await peer.stop()
    await until(() => errors.length >= 2)
    peer = await startPeer({ port: peer.port })
    peer.revoke({ sid: 's1' })
    await until(() => view.dead({ sid: 's1', jti: 'any' }))
  })

  it('reads all again from a log that is behind the one it followed', async () => {
    for (const sid of ['s1', 's2', 's3']) peer.revoke({ sid })
    follow()
    await until(() => readies === 1)
    peer.log.length = 0
    peer.log.push({ seq: 2, at: 1, sid: 'restored', exp: EXP, reason: 'user_logout' })
    peer.cut()
    await until(() => view.dead({ sid: 'restored', jti: 'any' }))
    assert.deepEqual(
      asked()
        .slice(0, 3)
        .map(({ since }) => since),
      [null, '3', null],
    )
  })

  const hostile: Record<string, string> = {
    'that is no JSON': 'x\n',
    'that is empty': '\n',
    'that is null': 'null\n',
    'without a seq': '{"type":"heartbeat"}\n',
    'of a session that is a number': line(9, { sid: 9 }),
    'that is longer than 64 KiB': `{"type":"heartbeat","seq":9,"pad":"${'x'.repeat(65536)}"}\n`,
    'that never ends': 'x'.repeat(65537),
  }
  for (const [what, text] of Object.entries(hostile)) {
    it(`drops the connection at a line ${what}, applies nothing of it, and resumes`, async () => {
      follow()
      await until(() => readies === 1)
      // No other line may come to the aid of one that never ends.
      peer.feed = 'silent'
      peer.write(text)
      await until(() => errors.length === 1 && readies === 2)
      assert.doesNotMatch(`${errors[0]?.message}`, /silent/)
      assert.deepEqual([view.size, view.seq], [0, 0])
      peer.revoke({ sid: 's1' })
      await until(() => view.dead({ sid: 's1', jti: 'any' }))
    })
  }

  it('does not resume from a backlog of which it saw only a part', async () => {
    const asks: (string | undefined)[] = []
    const url = await serve((req, res) => {
      asks.push(req.url)
      res.write(asks.length === 1 ? `${line(7)}x\n` : `${line(6)}${line(7)}{"type":"ready","seq":7}\n`)
    })
    follow({ url })
    await until(() => readies === 1)
    assert.deepEqual(asks, ['/feed', '/feed'])
    assert.ok(view.dead({ sid: 's6', jti: 'any' }))
  })

  it('is not ready, and has heard nothing, before all that was revoked has come', async () => {
    const url = await serve((_, res) => res.write(`${line(1)}{"type":"heartbeat","seq":1}\n`))
    follow({ url })
    await until(() => view.size === 1)
    assert.deepEqual([readies, heard], [0, 0])
  })

  it('puts characters together that arrive in two pieces', async () => {
    const bytes = Buffer.from(line(1, { reason: 'vergeßlich' }))
    const cut = bytes.indexOf(0xc3) + 1
    const url = await serve(async (_, res) => {
      res.write(bytes.subarray(0, cut))
      await new Promise((resolve) => setTimeout(resolve, 50))
      res.write(bytes.subarray(cut))
    })
    follow({ url })
    await until(() => view.dead({ sid: 's1', jti: 'any' })?.reason === 'vergeßlich')
  })

  it('drops a connection that has gone silent', async () => {
    peer.feed = 'silent'
    follow()
    await until(() => asked().length === 2)
    assert.match(`${errors[0]?.message}`, /silent|aborted/)
  })

  it('waits longer and longer while it is refused', async () => {
    peer.feed = 'refused'
    const at: number[] = []
    follow({
      fetch: (...args) => {
        at.push(performance.now())
        return fetch(...args)
      },
    })
    await until(() => at.length === 6)
    const waits = at.slice(1).map((time, i) => time - (at[i] as number))
    // 100, 200, 400, 800, 1600 ms, each at least half.
    assert.ok((waits[4] as number) >= 780, `${waits}`)
    assert.ok((waits[0] as number) < 700, `${waits}`)
  })

  it('goes on when the one who hears of errors throws', async () => {
    peer.feed = 'refused'
    feed = followFeed({
      ...{ url: `${peer.issuer}/feed`, credentials: CREDENTIALS, view, onHeard() {} },
      onReady: () => readies++,
      onError() {
        throw new Error('mine')
      },
    })
    await until(() => asked().length === 2)
    peer.feed = 'open'
    await until(() => readies === 1)
  })

  it('stops when it is closed, by call or by signal', async () => {
    const ending = new AbortController()
    follow({ signal: ending.signal })
    await until(() => readies === 1)
    ending.abort()
    const before = heard
    peer.revoke({ sid: 's1' })
    await new Promise((resolve) => setTimeout(resolve, 400))
    assert.deepEqual([heard, view.size, errors.length, asked().length], [before, 0, 0, 1])
  })
})
