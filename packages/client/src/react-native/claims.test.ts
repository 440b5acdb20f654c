import assert from 'node:assert/strict'
import { it } from 'node:test'
import { claimsOf } from './claims.ts'

const tokenOf = (claims: unknown) =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.signature`
const IDS = { sub: 'the-sub', sid: 'the-sid' }

it('reads what is kept of an ID token, in any script', () => {
  const claims = { ...IDS, name: 'Zoë Ψ 王 🙂', email: 'zoe@example.com' }
  assert.deepEqual(claimsOf(tokenOf({ ...claims, nonce: 'x', picture: 'https://…' })), claims)
})

it('cuts what is for people, and never an id', () => {
  const long = '🙂'.repeat(500)
  assert.deepEqual(claimsOf(tokenOf({ ...IDS, name: long })), { ...IDS, name: '🙂'.repeat(120) })
  assert.deepEqual(claimsOf(tokenOf({ ...IDS, name: '\u0001'.repeat(100) })), IDS, 'what has no room')
  const sub = 'x'.repeat(255)
  assert.equal(claimsOf(tokenOf({ ...IDS, sub }))?.sub, sub)
  assert.equal(claimsOf(tokenOf({ ...IDS, sub: `${sub}x` })), undefined)
})

it('takes nothing for an ID token that is none', () => {
  const none = [undefined, '', 'a', 'a.b.c', '..', tokenOf(null), tokenOf([]), tokenOf({ sub: 'the-sub' })]
  const odd = [
    tokenOf({ ...IDS, sid: 7 }),
    tokenOf({ ...IDS, sub: '' }),
    tokenOf(IDS).replace(/\.(.)/, '.$1!'),
  ]
  for (const token of [...none, ...odd]) assert.equal(claimsOf(token), undefined, token)
})
