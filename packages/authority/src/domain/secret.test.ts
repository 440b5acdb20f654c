import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hashSecret, logoutTicket, newSid, readSecret, refreshToken, successorToken } from './secret.ts'

const [tag, successor, device] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
]
const keys = { tag, successor, device }
const sid = newSid(1_800_000_000_000, new Uint8Array(10).fill(7))
const secret = new Uint8Array(32).fill(9)

describe('a refresh token', () => {
  const token = refreshToken(sid, 3, secret, keys)

  it('says which session and generation it is of, and is stored as its hash', () => {
    const parts = readSecret(token, keys)
    assert.deepEqual(parts, { kind: 'refresh_token', sid, generation: 3, hash: hashSecret(token) })
  })

  it('is another one for each of the 256 bits of its secret', () => {
    const all = Array.from({ length: 256 }, (_, bit) => {
      const other = secret.map((byte, index) => (index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
      return refreshToken(sid, 3, other, keys)
    })
    assert.equal(new Set([token, ...all]).size, 257)
  })

  it('is refused with any one character changed, cut or added', () => {
    for (let i = 0; i < token.length; i++) {
      const other = token[i] === 'A' ? 'B' : 'A'
      assert.equal(
        readSecret(token.slice(0, i) + other + token.slice(i + 1), keys),
        undefined,
        `position ${i}`,
      )
    }
    assert.equal(readSecret(token.slice(0, -1), keys), undefined)
    assert.equal(readSecret(`${token}A`, keys), undefined)
    assert.equal(readSecret(`${token}=`, keys), undefined)
  })

  it('of another authority is not ours', () => {
    const others = { ...keys, tag: new Uint8Array(32).fill(3) }
    assert.equal(readSecret(token, others), undefined)
  })

  it('has one successor for each salt', () => {
    const parts = { sid, generation: 3 }
    const successor = successorToken(token, parts, 'salt', keys)
    assert.equal(successor, successorToken(token, parts, 'salt', keys))
    assert.notEqual(successor, successorToken(token, parts, 'another', keys))
    assert.notEqual(
      successor,
      successorToken(token, parts, 'salt', { ...keys, successor: new Uint8Array(32) }),
    )
    const read = readSecret(successor, keys)
    assert.ok(read?.kind === 'refresh_token' && read.generation === 4 && read.sid === sid)
  })
})

describe('a logout ticket', () => {
  it('is no refresh token, and a refresh token is no ticket', () => {
    const ticket = logoutTicket(sid, secret, keys)
    assert.equal(readSecret(ticket, keys)?.kind, 'logout_ticket')
    assert.equal(readSecret(ticket.replace('lt_', 'rt_'), keys), undefined)
    assert.equal(readSecret(refreshToken(sid, 1, secret, keys).replace('rt_', 'lt_'), keys), undefined)
  })
})
