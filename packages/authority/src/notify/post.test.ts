import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isPublic } from './post.ts'

describe('an address', () => {
  it('of this machine, of a private network or of a special purpose is not public', () => {
    const special = [
      ...[
        '127.0.0.1',
        '10.1.2.3',
        '172.31.255.255',
        '192.168.0.1',
        '169.254.169.254',
        '100.64.0.1',
        '0.0.0.0',
      ],
      ...[
        '224.0.0.1',
        '255.255.255.255',
        '198.51.100.7',
        '::',
        '::1',
        'fe80::1',
        'fc00::1',
        'fd12::1',
        'ff02::1',
      ],
      ...['::ffff:127.0.0.1', '::ffff:7f00:1', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1', '2001:db8::1'],
      ...['localhost', '', '127.1'],
    ]
    for (const address of special) assert.equal(isPublic(address), false, address)
  })

  it('of the internet is', () => {
    for (const address of ['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450:4001::1'])
      assert.equal(isPublic(address), true, address)
  })
})
