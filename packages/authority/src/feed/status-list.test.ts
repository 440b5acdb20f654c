import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inflateSync } from 'node:zlib'
import { createStatusBits, LIST_SIZE, listUri } from '@rescind/guard/status'
import { encodeList } from './status-list.ts'

/* The examples of draft-ietf-oauth-status-list-21. */

/** §4.1: sixteen tokens. */
const SIXTEEN = { revoked: [0, 3, 4, 5, 7, 8, 9, 13, 15], lst: 'eNrbuRgAAhcBXQ' }
/** Appendix C.1: a million tokens, most of them valid. */
const MILLION = {
  revoked: [0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345],
  lst:
    'eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAA' +
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAA' +
    'AAAAAAAAAJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb',
}

const decode = (lst: string) => inflateSync(Buffer.from(lst, 'base64url'))
const setBits = (bytes: Uint8Array) =>
  [...bytes].flatMap((byte, at) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => at * 8 + bit),
  )

describe('the encoding of a status list', () => {
  it('is the one of the example in §4.1, byte for byte', async () => {
    const bits = createStatusBits('https://as.example')
    for (const index of SIXTEEN.revoked) bits.mark(index)
    const bytes = bits.list(0).slice(0, 2)
    assert.deepEqual([...bytes], [0xb9, 0xa3])
    assert.equal(await encodeList(bytes), SIXTEEN.lst)
  })

  it('reads the 1-bit test vector of appendix C.1, and says the same as it', async () => {
    const vector = decode(MILLION.lst)
    assert.deepEqual(setBits(vector), MILLION.revoked)
    const bits = createStatusBits('https://as.example')
    for (const index of MILLION.revoked) bits.mark(index)
    const lists = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((list) => encodeList(bits.list(list))))
    assert.deepEqual(Buffer.concat(lists.map(decode)), vector)
  })

  it('puts each token where its claims say', () => {
    const issuer = 'https://as.example'
    const bits = createStatusBits(issuer)
    const index = LIST_SIZE * 3 + 17
    bits.mark(index)
    const place = bits.place({ idx: 17, uri: listUri(issuer, 3) })
    assert.ok(place && (place.bytes[place.at] ?? 0) & place.mask)
    assert.deepEqual(setBits(bits.list(3)), [17])
  })
})
