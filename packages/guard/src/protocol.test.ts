import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readAck, readMessage, writeAck } from './protocol.ts'

const PLACE = { seq: 9, tag: 'abc_-DEF123', prev: 8, at: 1_700_000_000_000 }
const REVOCATION = { type: 'revocation', ...PLACE, sid: 's1', reason: 'user_logout', tokens: [0, 7] }
const HEARTBEAT = { type: 'heartbeat', ...PLACE, firstList: 2 }
const READY = {
  type: 'ready',
  ...PLACE,
  firstList: 2,
  guard: 'g1',
  resources: ['https://api.example'],
  kids: ['k1', 'k2'],
}
const KEYS = { type: 'keys', kids: ['k1'] }

const read = (message: unknown) => readMessage(JSON.stringify(message))

describe('a message of the feed', () => {
  it('is refused when it is no object of the protocol', () => {
    const texts = [
      '',
      ' ',
      '{',
      'x',
      'null',
      '7',
      'true',
      '"reload"',
      '[]',
      '["reload"]',
      '{}',
      '[{"type":"reload"}]',
    ]
    for (const text of [
      ...texts,
      '{"type":"reload"}{"type":"reload"}',
      "{'type':'reload'}",
      '{"type":"Reload"}',
    ])
      assert.throws(() => readMessage(text), text)
  })

  it('is refused when a field is missing or of another type', () => {
    const numbers = [undefined, null, -1, 1.5, '1', 2 ** 53, true, [1], {}]
    const texts = [undefined, null, '', 7, 'x'.repeat(257), ['s'], {}]
    const lists = [undefined, null, 'k1', 7, {}]
    const bad: [object, Record<string, unknown[]>][] = [
      [REVOCATION, { type: ['other', null, 7, undefined], sid: texts, reason: texts, jti: texts.slice(1) }],
      [HEARTBEAT, { firstList: numbers }],
      [READY, { guard: texts, firstList: numbers, kids: [...lists, [''], [7], Array(1_001).fill('k')] }],
      [KEYS, { kids: [...lists, [null], ['x'.repeat(257)], Array(1_001).fill('k')] }],
    ]
    for (const message of [REVOCATION, HEARTBEAT, READY])
      bad.push([message, { seq: numbers, prev: numbers, at: numbers }])
    const tokens = [...lists, ['7'], [-1], [0.5], [null], [2 ** 40], Array(10_001).fill(7)]
    bad.push([REVOCATION, { tokens }])
    for (const [message, fields] of bad) {
      read(message)
      for (const [name, values] of Object.entries(fields))
        for (const value of values)
          assert.throws(
            () => read({ ...message, [name]: value }),
            `${name}: ${JSON.stringify(value)}`.slice(0, 60),
          )
    }
  })

  it('is refused when it comes before what it follows', () => {
    for (const message of [REVOCATION, HEARTBEAT, READY]) {
      assert.throws(() => read({ ...message, prev: 10 }))
      read({ ...message, prev: 9 })
    }
  })

  it('is refused when it has the fields of another', () => {
    for (const message of [REVOCATION, HEARTBEAT, KEYS])
      assert.throws(() => read({ ...message, type: 'ready' }))
    for (const message of [HEARTBEAT, READY, KEYS])
      assert.throws(() => read({ ...message, type: 'revocation' }))
    for (const message of [REVOCATION, KEYS]) assert.throws(() => read({ ...message, type: 'heartbeat' }))
  })

  it('does not get fields from a prototype that it brings', () => {
    assert.throws(() => readMessage(`{"type":"revocation","__proto__":${JSON.stringify(REVOCATION)}}`))
    const more = readMessage(`{"type":"reload","__proto__":{"type":"keys"},"constructor":7}`)
    assert.deepEqual(more, { type: 'reload' })
    assert.equal(Object.getPrototypeOf(more), Object.prototype)
  })

  it('is read, and what it does not have to hold is left out', () => {
    const more = { more: 'is ignored', jti: undefined }
    for (const message of [REVOCATION, HEARTBEAT, READY, KEYS, { type: 'reload' }])
      assert.deepEqual(read({ ...message, ...more }), message)
    assert.deepEqual(read({ ...REVOCATION, jti: 't1' }), { ...REVOCATION, jti: 't1' })
    assert.deepEqual(read({ ...HEARTBEAT, kids: ['k1'], guard: 'g1' }), HEARTBEAT)
  })

  it('may name as many tokens and keys, as large as they are allowed to be', () => {
    const tokens = Array(10_000).fill(2 ** 40 - 1)
    assert.deepEqual(read({ ...REVOCATION, tokens }), { ...REVOCATION, tokens })
    const kids = Array(1_000).fill('x'.repeat(256))
    assert.deepEqual(read({ ...READY, kids, seq: 2 ** 53 - 1 }), { ...READY, kids, seq: 2 ** 53 - 1 })
  })
})

describe('an acknowledgement', () => {
  it('is refused when it is anything but one number', () => {
    const frames = [
      '',
      '{}',
      '7',
      '{"ack":}',
      '{"ack":-1}',
      '{"ack":1.5}',
      '{"ack":"1"}',
      '{"ack":1e3}',
      '{"ack":null}',
    ]
    for (const frame of [...frames, '{ "ack": 1 }', '{"ack":1}\n', '{"ack":1}x', '{"ack":1,"x":2}', '[1]'])
      assert.equal(readAck(frame), undefined, frame)
    assert.equal(readAck(`{"ack":${'9'.repeat(16)}}`), undefined, 'no number that is rounded')
  })

  it('is read as it was written', () => {
    for (const seq of [0, 1, 2 ** 40, 999_999_999_999_999]) assert.equal(readAck(writeAck(seq)), seq)
  })
})
