import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { GuardError, type GuardErrorCode } from '@rescind/guard'

/* What others build on: who changes it changes it here too, on purpose. */

/** The entry points of `@rescind/guard`, and what each of them has at run time. */
const SURFACE: Record<string, string[]> = {
  '.': ['GuardError', 'createGuard', 'protect', 'sendGuardError'],
  './claims': ['TokenInvalid', 'readClaims'],
  './dpop': ['DPOP_ALGORITHMS', 'verifyDpopProof'],
  './errors': ['GuardError', 'unavailable'],
  './events': ['eventStream'],
  './express': ['requireSession'],
  './fastify': ['requireSession'],
  './hono': ['requireSession'],
  './http': ['checkNodeRequest', 'protect', 'requestOf', 'sendGuardError'],
  './lists': ['loadStatusLists', 'readStatusList'],
  './mcp': ['endWithSession', 'mcpTokenVerifier', 'sessionOf'],
  './protocol': [
    'MAX_FRAME',
    'MAX_REPORT',
    'readAck',
    'readMessage',
    'readReport',
    'writeAck',
    'writeReports',
  ],
  './status': ['LIST_SIZE', 'createStatusBits', 'isSet', 'listUri', 'setBit'],
  './verify': ['checkTimes', 'createVerifier', 'timesOf', 'verifySignature'],
  './view': ['createRevocationView'],
  './websocket': ['closeWithSession', 'guardUpgrade'],
}

/** The codes of its errors with their HTTP status; one that is missing here, or new, does not compile. */
const CODES: Record<GuardErrorCode, number> = {
  AUTHENTICATION_FAILED: 401,
  INSUFFICIENT_USER_AUTHENTICATION: 401,
  INSUFFICIENT_SCOPE: 403,
  UNAVAILABLE: 503,
  CONFIGURATION: 500,
}

const file = join(import.meta.dirname, '../packages/guard/package.json')
const { exports } = JSON.parse(readFileSync(file, 'utf8')) as { exports: Record<string, string> }

describe('the public surface of @rescind/guard', () => {
  it('has these entry points', () => {
    assert.deepEqual(Object.keys(exports).sort(), Object.keys(SURFACE).sort())
  })

  for (const [entry, names] of Object.entries(SURFACE)) {
    it(`has ${names.join(', ') || 'types alone'} in ${entry}`, async () => {
      assert.deepEqual(Object.keys(await import(`@rescind/guard${entry.slice(1)}`)).sort(), [...names].sort())
    })
  }

  it('has these error codes', () => {
    const codes = Object.keys(CODES) as GuardErrorCode[]
    assert.deepEqual(Object.fromEntries(codes.map((code) => [code, new GuardError(code, '').status])), CODES)
  })
})
