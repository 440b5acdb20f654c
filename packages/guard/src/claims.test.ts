import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readClaims, TokenInvalid } from './claims.ts'

const PAYLOAD = {
  iss: 'https://login.example',
  sub: 'ann',
  aud: ['https://api.example', 'https://other.example'],
  exp: 1_700_000_600,
  iat: 1_700_000_000,
  jti: 't1',
  sid: 's1',
  client_id: 'app',
  scope: 'notes:read notes:write',
  auth_time: 1_699_999_000,
  acr: 'pwd',
  cnf: { jkt: 'thumbprint' },
  status: { status_list: { idx: 7, uri: 'https://login.example/status/1' } },
}

function refused(payload: unknown) {
  assert.throws(
    () => readClaims(payload),
    (error) => error instanceof TokenInvalid && error.reason === 'malformed',
    JSON.stringify(payload)?.slice(0, 200),
  )
}

describe('the claims of an access token', () => {
  it('are all read', () => {
    const { client_id, auth_time, cnf, scope, status, ...same } = PAYLOAD
    assert.deepEqual(readClaims(PAYLOAD), {
      ...same,
      clientId: 'app',
      scope: ['notes:read', 'notes:write'],
      authTime: auth_time,
      jkt: 'thumbprint',
      status: { idx: 7, uri: 'https://login.example/status/1' },
    })
  })

  it('may leave out what is optional, and name one audience', () => {
    const { scope, auth_time, acr, cnf, status, ...least } = { ...PAYLOAD, aud: 'https://api.example' }
    const claims = readClaims(least)
    assert.deepEqual(claims.aud, ['https://api.example'])
    assert.deepEqual(claims.scope, [])
    assert.deepEqual(
      Object.keys(claims).filter((key) => ['authTime', 'acr', 'jkt', 'status'].includes(key)),
      [],
    )
    assert.deepEqual(readClaims({ ...least, scope: '' }).scope, [])
  })

  it('are refused when one that is required is missing, empty, too long or of another type', () => {
    for (const name of ['iss', 'sub', 'aud', 'jti', 'sid', 'client_id']) {
      for (const value of [undefined, null, '', 7, {}, 'x'.repeat(2049)])
        refused({ ...PAYLOAD, [name]: value })
    }
    for (const name of ['exp', 'iat']) {
      for (const value of [undefined, null, '1', -1, 1.5, 2 ** 60, Number.NaN])
        refused({ ...PAYLOAD, [name]: value })
    }
  })

  it('are refused when an optional one is of another shape', () => {
    for (const aud of [[], [7], ['a', ''], Array(17).fill('a')]) refused({ ...PAYLOAD, aud })
    for (const scope of [null, 7, ['a'], ' ', 'a  b', ' a', 'a"b', 'x'.repeat(2049)])
      refused({ ...PAYLOAD, scope })
    for (const cnf of [null, 'x', [], {}, { jkt: 7 }, { 'x5t#S256': 'x' }]) refused({ ...PAYLOAD, cnf })
    for (const status of [null, 'x', {}, { status_list: {} }, { status_list: { idx: '7', uri: 'u' } }])
      refused({ ...PAYLOAD, status })
    for (const auth_time of [null, 'x', -1]) refused({ ...PAYLOAD, auth_time })
    refused({ ...PAYLOAD, acr: 7 })
  })

  it('are an object', () => {
    for (const payload of [undefined, null, 'x', 7, [], [PAYLOAD]]) refused(payload)
  })
})
