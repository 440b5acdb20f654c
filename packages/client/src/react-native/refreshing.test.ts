import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Granted } from './platform.ts'
import { createRefreshing } from './refreshing.ts'

const TOKENS = {
  ...{ accessToken: '', expiresAt: 0, refreshToken: 'first', ticket: 'lt_1' },
  claims: { sub: 'the-sub', sid: 'the-sid' },
}
const { signal } = new AbortController()

/** Refreshes that end when they are told. */
function pending() {
  const asked: { refreshToken: string; bring(granted: Granted): void; fail(error: Error): void }[] = []
  const refresh = createRefreshing({
    signIn: () => assert.fail('nobody signs in here'),
    refresh: (refreshToken) =>
      new Promise((bring, fail) => {
        asked.push({ refreshToken, bring, fail })
      }),
  })
  return { asked, refresh }
}

describe('a refresh by a native library', () => {
  it('that came too late is not lost: who asks again gets what it brings', async () => {
    const { asked, refresh } = pending()
    const given = Promise.all([refresh(TOKENS, signal), refresh(TOKENS, signal)])
    asked[0]?.bring({ accessToken: 'at', expiresAt: 5, refreshToken: 'second' })
    for (const tokens of await given)
      assert.deepEqual(tokens, { ...TOKENS, accessToken: 'at', expiresAt: 5, refreshToken: 'second' })
    assert.equal((await refresh(TOKENS, signal)).refreshToken, 'second')
    assert.equal(asked.length, 1)
    refresh({ ...TOKENS, refreshToken: 'second' }, signal)
    assert.deepEqual(
      asked.map(({ refreshToken }) => refreshToken),
      ['first', 'second'],
    )
  })

  it('that failed is tried again', async () => {
    const { asked, refresh } = pending()
    const first = refresh(TOKENS, signal)
    asked[0]?.fail(new Error('no network'))
    await assert.rejects(first, /no network/)
    const second = refresh(TOKENS, signal)
    asked[1]?.bring({ accessToken: 'at', expiresAt: 5 })
    assert.equal((await second).refreshToken, 'first')
  })

  it('that brought nothing is no answer', async () => {
    const { asked, refresh } = pending()
    const given = refresh(TOKENS, signal)
    asked[0]?.bring({ accessToken: '', expiresAt: 0 })
    await assert.rejects(given, /no access token/)
  })

  it('of a session without a refresh token is refused', async () => {
    const { refresh } = pending()
    await assert.rejects(refresh({ ...TOKENS, refreshToken: undefined }, signal), { code: 'REFUSED' })
  })
})
