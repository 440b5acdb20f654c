import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type ClientErrorCode, RescindClientError } from '@rescind/client/react-native'
import { bundle } from '../tools/bundle.ts'

/* What apps build on, and what they load: who changes it changes it here too, on purpose. */

const FOLDER = join(import.meta.dirname, '../packages/client')
const { exports, dependencies } = JSON.parse(readFileSync(join(FOLDER, 'package.json'), 'utf8'))

/** The entry points, and what each of them has at run time. */
const SURFACE: Record<string, string[]> = {
  '.': ['RescindClientError', 'createClient'],
  './react': ['useSession'],
  './react-native': [
    ...[
      'RescindClientError',
      'appAuth',
      'appState',
      'createClient',
      'expoAuthSession',
      'expoSecureStore',
      'netInfo',
    ],
  ],
  './worker': ['deliverLogouts'],
}

/** One that is missing here, or new, does not compile. */
const CODES: Record<ClientErrorCode, true> = {
  NOT_SIGNED_IN: true,
  SESSION_ENDED: true,
  SIGN_IN_FAILED: true,
  UNAVAILABLE: true,
  REFUSED: true,
  CONFIGURATION: true,
}

/** The most that an app loads, gzipped, with all that the entry point imports, in bytes. */
const MOST: Record<string, number> = { 'src/index.ts': 12_000, 'src/worker.ts': 3_000 }

describe('the public surface of @rescind/client', () => {
  it('has these entry points', () => {
    assert.deepEqual(Object.keys(exports).sort(), Object.keys(SURFACE).sort())
  })

  for (const [entry, names] of Object.entries(SURFACE))
    it(`has ${names.join(', ')} in ${entry}`, async () => {
      assert.deepEqual(
        Object.keys(await import(`@rescind/client${entry.slice(1)}`)).sort(),
        [...names].sort(),
      )
    })

  it('has these error codes', () => {
    for (const code of Object.keys(CODES) as ClientErrorCode[])
      assert.equal(new RescindClientError(code, '').code, code)
  })

  it('depends on one library', () => {
    assert.deepEqual(Object.keys(dependencies), ['oauth4webapi'])
  })

  for (const [entry, most] of Object.entries(MOST))
    it(`${entry} is at most ${most} bytes, gzipped, with its dependencies`, async (t) => {
      const { length } = gzipSync(await bundle(`packages/client/${entry}`), { level: 9 })
      t.diagnostic(`${length} bytes`)
      assert.ok(length <= most, `${length} bytes`)
    })

  it('has nothing of a browser’s libraries in what phones load', async () => {
    const code = await bundle('packages/client/src/react-native.ts')
    assert.doesNotMatch(code, /oauth4webapi|indexedDB|BroadcastChannel|crypto\.subtle|TextEncoder/)
  })
})
