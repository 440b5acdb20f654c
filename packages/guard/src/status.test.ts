import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createStatusBits, isSet, LIST_SIZE, listUri, type Place } from './status.ts'

const ISSUER = 'https://login.example'
const at = (list: number, idx: number) => ({ idx, uri: listUri(ISSUER, list) })
const bits = () => createStatusBits(ISSUER)

describe('the bits of the status lists', () => {
  it('have no place for an address that is not one of this authority’s lists', () => {
    const start = `${ISSUER}/status-lists/`
    const numbers = [
      '',
      '-1',
      '+1',
      '00',
      '01',
      '1.0',
      '1e3',
      '0x1',
      ' 1',
      '1 ',
      '1/',
      '1?',
      '1#',
      '１',
      'NaN',
    ]
    const uris = numbers.map((number) => start + number)
    uris.push(
      '',
      '1',
      `${start}99999999999`,
      'https://evil.example/status-lists/1',
      `${ISSUER}.evil/status-lists/1`,
    )
    uris.push(
      'https://LOGIN.example/status-lists/1',
      'http://login.example/status-lists/1',
      `${ISSUER}//status-lists/1`,
    )
    const known = bits()
    for (const uri of uris) {
      assert.equal(known.place({ idx: 1, uri }), undefined, uri)
      assert.equal(known.numberOf(uri), undefined, uri)
      assert.equal(known.indexOf({ idx: 1, uri }), undefined, uri)
    }
    assert.equal(known.place(undefined), undefined)
    assert.equal(known.bytes, 0, 'nor is anything kept for it')
  })

  it('have no place beyond a list’s end, which would be another token’s', () => {
    const known = bits()
    for (const idx of [LIST_SIZE, LIST_SIZE + 7, 2 ** 31, 2 ** 32, 2 ** 53 - 1])
      assert.equal(known.place(at(0, idx)), undefined, `${idx}`)
    assert.ok(known.place(at(0, LIST_SIZE - 1)))
  })

  it('are set one at a time, and no other with them', () => {
    const known = bits()
    const indexes = [0, 1, 7, 8, 9, 4_095, LIST_SIZE - 1, LIST_SIZE, 3 * LIST_SIZE + 5]
    for (const index of indexes) known.mark(index)
    for (let list = 0; list < 4; list++) {
      for (let idx = 0; idx < LIST_SIZE; idx++) {
        const expected = indexes.includes(list * LIST_SIZE + idx)
        if (isSet(known.place(at(list, idx)) as Place) !== expected) assert.fail(`${idx} of ${list}`)
      }
    }
  })

  it('are where the standard says: the least significant bit first (§4.1)', () => {
    const known = bits()
    for (const index of [0, 3, 4, 5, 7, 8, 9, 13, 15]) known.mark(index)
    // The example of the draft: 0xb9 0xa3.
    assert.deepEqual([...known.list(0).subarray(0, 3)], [0xb9, 0xa3, 0])
  })

  it('show a change to who found a place before it', () => {
    const known = bits()
    const place = known.place(at(1, 5)) as Place
    assert.equal(isSet(place), false)
    known.mark(LIST_SIZE + 5)
    assert.equal(isSet(place), true)
    const other = known.place(at(2, 9)) as Place
    known.merge(2, new Uint8Array([0, 2]))
    assert.equal(isSet(other), true)
  })

  it('stay set when an older list comes, or a shorter one', () => {
    const known = bits()
    known.mark(5)
    known.mark(100)
    known.merge(0, new Uint8Array(LIST_SIZE / 8))
    known.merge(0, new Uint8Array([2]))
    known.merge(0, new Uint8Array(0))
    const set = [1, 5, 100, 6].map((idx) => isSet(known.place(at(0, idx)) as Place))
    assert.deepEqual(set, [true, true, true, false])
  })

  it('take no list that is longer than lists are', () => {
    const known = bits()
    assert.throws(() => known.merge(0, new Uint8Array(LIST_SIZE / 8 + 1).fill(255)), RangeError)
    assert.equal(isSet(known.place(at(0, 0)) as Place), false)
  })

  it('do not grow without end', () => {
    const known = bits()
    for (let list = 0; list < 8_192; list++) known.list(list)
    assert.throws(() => known.mark(8_192 * LIST_SIZE), RangeError)
    assert.throws(() => known.list(8_192), RangeError)
    assert.throws(() => known.merge(8_192, new Uint8Array(1)), RangeError)
    assert.equal(known.place(at(8_192, 0)), undefined)
    assert.equal(known.bytes, 8_192 * 16_384)
    known.mark(7)
    assert.ok(isSet(known.place(at(0, 7)) as Place), 'those that are there go on')
    known.retire(1)
    known.mark(8_192 * LIST_SIZE)
  })

  it('have no lists with odd numbers', () => {
    const known = bits()
    for (const list of [-1, 0.5, Number.NaN, Infinity, 2 ** 53])
      assert.throws(() => known.list(list), RangeError)
  })

  it('are forgotten once all their tokens have expired, and never come back', () => {
    const known = bits()
    for (const list of [0, 1, 2]) known.mark(list * LIST_SIZE)
    known.retire(2)
    assert.deepEqual([known.first, known.bytes], [2, LIST_SIZE / 8])
    assert.equal(known.place(at(1, 0)), undefined)
    known.mark(0)
    known.merge(1, new Uint8Array([1]))
    assert.throws(() => known.list(1), RangeError)
    known.retire(1)
    assert.deepEqual([known.first, known.bytes], [2, LIST_SIZE / 8])
    assert.ok(isSet(known.place(at(2, 0)) as Place))
  })

  it('have an index among all tokens that were ever issued', () => {
    assert.equal(bits().indexOf(at(3, 9)), 3 * LIST_SIZE + 9)
    assert.equal(bits().indexOf(undefined), undefined)
    assert.equal(bits().numberOf(listUri(ISSUER, 12)), 12)
  })
})
