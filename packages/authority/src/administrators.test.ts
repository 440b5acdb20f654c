import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { administers, namesAdministrator } from './administrators.ts'

const CONFIG = { admins: ['ops-k@example.com'] }
const ACCOUNT = { sub: '1', email: 'ops-k@example.com', name: 'Ops', password: 'x', createdAt: 0 }

describe('who administers', () => {
  it('is whose e-mail is named, in upper or lower case as the store compares them, and nobody who looks alike', () => {
    assert.equal(namesAdministrator(CONFIG, 'OPS-K@Example.com'), true)
    // The Kelvin sign is a k in lower case, and another letter to the store.
    for (const email of ['ops-\u212a@example.com', 'ops-k@example.co', 'ops@example.com', ''])
      assert.equal(namesAdministrator(CONFIG, email), false, email)
    assert.equal(namesAdministrator({ admins: [] }, ACCOUNT.email), false)
  })

  it('is nobody who is deactivated, compromised or gone', () => {
    assert.equal(administers(CONFIG, ACCOUNT), true)
    assert.equal(administers(CONFIG, { ...ACCOUNT, deactivatedAt: 1 }), false)
    assert.equal(administers(CONFIG, { ...ACCOUNT, resetRequired: true }), false)
    assert.equal(administers(CONFIG, undefined), false)
  })
})
