import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ConfigError, readConfig } from './config.ts'

function fileWith(content: unknown): string {
  const path = join(mkdtempSync(join(tmpdir(), 'rescind-config-')), 'rescind.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

function refusal(flags: Record<string, string>, environment: Record<string, string> = {}): string {
  try {
    readConfig(flags, environment)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message
  }
  assert.fail('the configuration was accepted')
}

describe('the configuration', () => {
  it('needs nothing', () => {
    const config = readConfig({}, {})
    assert.equal(config.issuer, 'http://localhost:4600')
    assert.equal(config.policy.accessTokenTtl, 600)
    assert.equal(config.policy.cascade, 'token')
  })

  it('takes flags over the environment over the file', () => {
    const config = fileWith({ port: 1111, data: 'from-file', name: 'From the file' })
    const read = readConfig({ config, port: '3333' }, { RESCIND_PORT: '2222', RESCIND_DATA: 'from-env' })
    assert.deepEqual([read.port, read.data, read.name], [3333, 'from-env', 'From the file'])
    assert.equal(read.issuer, 'http://localhost:3333')
  })

  it('names the setting, what was given, from where, and what is allowed', () => {
    assert.equal(refusal({ port: 'abc' }), '`port` is "abc" (from --port); allowed: a number.')
    assert.equal(
      refusal({}, { RESCIND_PORT: '70000' }),
      '`port` is 70000 (from RESCIND_PORT); allowed: at most 65535.',
    )
    assert.match(
      refusal({}, { RESCIND_LOG_LEVEL: 'loud' }),
      /`logLevel` is "loud".*trace, debug, info, warn, error, silent/,
    )
    const file = fileWith({ revocation: { cascade: 'all' } })
    assert.equal(
      refusal({ config: file }),
      `\`revocation.cascade\` is "all" (from ${file}); allowed: token, session.`,
    )
    assert.match(
      refusal({ config: fileWith({ tokens: { accessTokenSeconds: 0 } }) }),
      /accessTokenSeconds` is 0 .* 1 to 3600 seconds/,
    )
  })

  it('refuses settings that do not exist', () => {
    assert.match(refusal({ config: fileWith({ prot: 1 }) }), /`prot` is not a setting/)
    assert.match(refusal({}, { RESCIND_PROT: '1' }), /RESCIND_PROT is not a setting. Known: /)
  })

  it('refuses tokens in clear', () => {
    assert.match(refusal({ issuer: 'http://login.example.com' }), /allowed: https, or http on localhost/)
    assert.equal(readConfig({ issuer: 'https://login.example.com' }, {}).issuer, 'https://login.example.com')
  })

  it('never shows a secret', () => {
    const message = refusal({}, { RESCIND_MASTER_KEY: 'hunter2-hunter2' })
    assert.doesNotMatch(message, /hunter2/)
    const resources = [
      { resource: 'https://api.example', scopes: {}, client_id: 'api', client_secret: 'short-secret' },
    ]
    assert.doesNotMatch(refusal({ config: fileWith({ resources }) }), /short-secret/)
    const webhooks = [{ url: 'https://ops.example/?key=hunter2', secret: 'hunter2' }]
    assert.match(
      refusal({ config: fileWith({ webhooks }) }),
      /`webhooks\.0\.secret` is a value that is not shown/,
    )
    const smtp = 'http://user:hunter2@mail.example'
    for (const mail of [
      smtp,
      { smtp, from: 'a@b.example' },
      { smtp, from: 'hunter2\r\nBcc: eve@evil.example' },
    ])
      assert.doesNotMatch(refusal({ config: fileWith({ mail }) }), /hunter2/)
    assert.match(refusal({ config: fileWith({ mail: { smtp, from: 'a@b.example' } }) }), /smtps:\/\/user/)
  })

  it('tells identity providers apart, and each can prove who it is', () => {
    const secret = 'hunter2-hunter2-hunter2'
    const idp = { client_id: 'idp', client_secret: secret }
    const keys = [{ kty: 'OKP', crv: 'Ed25519', x: 'x', d: 'hunter2' }]
    const clients = [{ client_id: 'idp', redirect_uris: ['https://app.example/'] }]
    const cases: [Record<string, unknown>, RegExp][] = [
      [
        { identityProviders: [{ client_id: 'idp' }] },
        /an entry with a `client_secret`, `jwks` or `jwks_uri`/,
      ],
      [{ identityProviders: [idp, idp] }, /`client_id` idp is given in two places/],
      [{ identityProviders: [idp], clients }, /`client_id` idp is given in two places/],
      [{ identityProviders: [idp, { ...idp, client_id: 'b', issuer: 'idp' }] }, /has idp twice/],
      [{ identityProviders: [{ client_id: 'a', jwks: { keys } }] }, /a public key/],
      [
        { identityProviders: [{ ...idp, jwks: { keys: [{ kty: 'EC' }] }, jwks_uri: 'https://a.example' }] },
        /not both/,
      ],
      [{ identityProviders: [{ client_id: 'a', jwks_uri: 'http://idp.example/keys' }] }, /an https URL/],
    ]
    for (const [content, message] of cases) {
      const refused = refusal({ config: fileWith(content) })
      assert.match(refused, message)
      assert.doesNotMatch(refused, /hunter2/)
    }
  })

  it('says which file is missing or broken', () => {
    assert.match(refusal({ config: '/nowhere/rescind.json' }), /\/nowhere\/rescind\.json does not exist/)
    assert.match(refusal({ config: fileWith('{') }), /is not valid JSON/)
    assert.match(refusal({ config: fileWith('[]') }), /must hold one JSON object/)
  })

  it('takes a PostgreSQL database, and never shows its password', () => {
    const store = 'postgres://rescind:a-password@db.example/rescind'
    assert.equal(readConfig({}, { RESCIND_STORE: store }).store, store)
    assert.throws(() => readConfig({}, { RESCIND_STORE: 'mysql://rescind:a-password@db.example/rescind' }), {
      message:
        /^`store` is a value that is not shown \(from .*RESCIND_STORE.*\); allowed: a URL such as postgres:/,
    })
  })
})
