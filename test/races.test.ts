import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createBrowser } from '../tools/browser.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { authorize, exchange, lives, post, refresh, signIn, type Tokens } from './sign-in.ts'

describe('races', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const sidOf = (token: string) => JSON.parse(atob(`${token.split('.')[1]}`)).sid as string

  it('four refreshes race one revoke, three hundred times: nothing survives', async () => {
    let browser = createBrowser()
    const won = { refreshes: 0, refused: 0 }
    for (let round = 0; round < 300; round++) {
      // A browser whose session was ended is asked for the password; a new one is no slower.
      if (round % 50 === 0) browser = createBrowser()
      const tokens = await signIn(authority.issuer, { browser })
      const pair = { accessToken: tokens.access_token, refreshToken: tokens.refresh_token }
      const revoke = () => post(`${authority.issuer}/v1/revoke`, pair)
      const refreshes = () => Array.from({ length: 2 }, () => refresh(authority.issuer, tokens.refresh_token))
      // Some come later and later, or on some machines the revocation would always be the last one.
      const later = async () => {
        await new Promise((resolve) => setTimeout(resolve, round % 12))
        return refresh(authority.issuer, tokens.refresh_token)
      }
      const all = [...refreshes(), revoke(), refresh(authority.issuer, tokens.refresh_token), later()]
      const [a, b, answer, c, d] = await Promise.all(all)
      assert.equal((answer as Response).status, 200)
      for (const response of [a, b, c, d] as Response[]) {
        if (response.status !== 200) {
          won.refused++
          continue
        }
        won.refreshes++
        const survivor = (await response.json()) as Tokens
        assert.equal(await lives(authority.issuer, survivor.access_token), false, 'an access token survived')
        assert.equal(
          (await refresh(authority.issuer, survivor.refresh_token)).status,
          400,
          'a refresh token survived',
        )
      }
      assert.equal(await lives(authority.issuer, tokens.access_token), false)
      // So many refused refreshes from one address would use up its budget.
      authority.advance(500)
    }
    assert.ok(won.refreshes > 0 && won.refused > 0, `one side always won: ${JSON.stringify(won)}`)
  })

  it('eight refreshes of one token at once: one successor', async () => {
    const tokens = await signIn(authority.issuer)
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => refresh(authority.issuer, tokens.refresh_token)),
    )
    const bodies = (await Promise.all(answers.map((answer) => answer.json()))) as Tokens[]
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    assert.equal(new Set(bodies.map(({ refresh_token }) => refresh_token)).size, 1)
    assert.equal(new Set(bodies.map(({ access_token }) => access_token)).size, 8)
  })

  it('a used refresh token after the grace window ends the session as token_reuse', async () => {
    const tokens = await signIn(authority.issuer)
    const next = (await (await refresh(authority.issuer, tokens.refresh_token)).json()) as Tokens
    authority.advance(10_500)
    assert.equal((await refresh(authority.issuer, tokens.refresh_token)).status, 400)
    assert.equal(await lives(authority.issuer, next.access_token), false)
    assert.equal((await refresh(authority.issuer, next.refresh_token)).status, 400)
    const session = await authority.authority.store.read({ kind: 'session', sid: sidOf(next.access_token) })
    assert.equal(session?.ended?.reason, 'token_reuse')
  })

  it('two exchanges of one code at once: at most one gets tokens, and they do not outlive the replay', async () => {
    for (let round = 0; round < 20; round++) {
      const grant = await authorize(authority.issuer)
      const answers = await Promise.all([
        exchange(authority.issuer, grant),
        exchange(authority.issuer, grant),
      ])
      const winners = answers.filter(({ status }) => status === 200)
      assert.equal(winners.length, 1)
      const tokens = (await winners[0]?.json()) as Tokens
      assert.equal(
        await lives(authority.issuer, tokens.access_token),
        false,
        'a replayed code kept its tokens',
      )
      const session = await authority.authority.store.read({
        kind: 'session',
        sid: sidOf(tokens.access_token),
      })
      assert.equal(session?.ended?.reason, 'token_reuse')
    }
  })
})
