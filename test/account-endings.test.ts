import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { addAccount } from '../packages/authority/src/accounts.ts'
import { createBrowser } from '../tools/browser.ts'
import { adminToken, audited, followLink, mailedCode, send, subOf } from './account.ts'
import { type GuardedApi, startGuardedApi } from './guarded-api.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { authorizationRequest, lives, refresh, refreshed, signIn, type Tokens } from './sign-in.ts'

/*
 * What happens to an account, and whether its sessions end with it: before, while an API has a WebSocket, an event stream
 * and a request open for them, and after.
 */

const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')
const DONE = /^https:\/\/app\.example\//

type Person = { email: string; password: string; name: string }
type Trigger = {
  reason: string
  /** Whether the one that does it stays signed in. */
  keeps?: true
  pull(person: Person, own: Tokens): Promise<unknown>
}

describe('what happens to an account', () => {
  let authority: TestAuthority
  let api: GuardedApi
  before(async () => {
    authority = await startTestAuthority()
    api = await startGuardedApi(authority.issuer)
  })
  after(async () => {
    await api.close()
    await authority.stop()
  })

  const rescind = (...args: string[]) =>
    promisify(execFile)(process.execPath, [CLI, ...args, '--data', authority.config.data])

  const triggers: Record<string, Trigger> = {
    'a changed password': {
      ...{ reason: 'password_change', keeps: true },
      async pull({ password }, { access_token }) {
        const body = { currentPassword: password, newPassword: 'another password' }
        const response = await send(authority.issuer, '/v1/account/password', access_token, body)
        assert.equal(response.status, 200, await response.clone().text())
        const { changed, ended } = (await response.json()) as { changed: boolean; ended: unknown[] }
        assert.deepEqual([changed, ended.length], [true, 1])
      },
    },
    'a reset through a mailed link': {
      ...{ reason: 'password_change' },
      async pull({ email }) {
        const code = await mailedCode(authority, { purpose: 'reset', sub: await subOf(authority, email) })
        const fields = { newPassword: 'another password' }
        assert.equal((await followLink(authority.issuer, `/reset?code=${code}`, fields)).status, 200)
      },
    },
    'the link of "this wasn’t me"': {
      ...{ reason: 'account_compromise' },
      async pull({ email }) {
        const code = await mailedCode(authority, { purpose: 'not-me', sub: await subOf(authority, email) })
        assert.equal((await followLink(authority.issuer, `/not-me?code=${code}`)).status, 200)
      },
    },
    'an administrator who says that it is compromised': {
      ...{ reason: 'account_compromise' },
      async pull({ email }) {
        const path = `/v1/admin/accounts/${await subOf(authority, email)}/compromise`
        const body = { reason: 'they called us' }
        const response = await send(authority.issuer, path, await adminToken(authority), body)
        assert.equal(response.status, 200)
      },
    },
    'rescind accounts compromise': {
      ...{ reason: 'account_compromise' },
      pull: ({ email }) => rescind('accounts', 'compromise', email, '--reason', 'they called us'),
    },
    'rescind accounts deactivate': {
      ...{ reason: 'admin_forced' },
      pull: ({ email }) => rescind('accounts', 'deactivate', email, '--reason', 'left the company'),
    },
    'rescind accounts set-password': {
      ...{ reason: 'password_change' },
      pull: ({ email }) => {
        const run = promisify(execFile)(process.execPath, [
          ...[CLI, 'accounts', 'set-password', email, '--data', authority.config.data],
        ])
        run.child.stdin?.end('another password\n')
        return run
      },
    },
  }

  for (const [name, trigger] of Object.entries(triggers)) {
    it(`${name}: ends what it has to end, everywhere, and nothing else`, async () => {
      const person = { email: `${Math.random()}@example.com`, password: 'a password', name: 'P' }
      await addAccount(authority.authority.store, person, 'test', Date.now())
      const stranger = await signIn(authority.issuer)
      const browser = createBrowser()
      const [own, other] = [
        await signIn(authority.issuer, { person, browser }),
        await signIn(authority.issuer, { person }),
      ]
      for (const { access_token } of [own, other]) assert.equal(await api.ask(access_token), 200)
      const [openOwn, open, openOfStranger] = [
        await api.open(own.access_token),
        await api.open(other.access_token),
        await api.open(stranger.access_token),
      ]

      await trigger.pull(person, own)

      const { reason } = trigger
      const cut = [await open.socket, await open.stream, await open.request]
      assert.equal(cut[0], `4401 ${reason}`)
      assert.match(`${cut[1]}`, new RegExp(`session-ended\ndata: \\{"reason":"${reason}"`))
      assert.equal(await lives(authority.issuer, other.access_token), false)
      assert.equal(await api.ask(other.access_token), 401)
      assert.equal((await refresh(authority.issuer, other.refresh_token)).status, 400)
      assert.equal(await lives(authority.issuer, own.access_token), trigger.keeps === true)
      assert.equal(await api.ask(own.access_token), trigger.keeps ? 200 : 401)
      const still = await Promise.race([openOwn.socket, new Promise((r) => setTimeout(r, 50, 'open'))])
      assert.equal(still, trigger.keeps ? 'open' : `4401 ${reason}`)
      const theirs = await Promise.race([openOfStranger.socket, new Promise((r) => setTimeout(r, 1, 'open'))])
      assert.equal(theirs, 'open')
      assert.equal(await lives(authority.issuer, stranger.access_token), true)

      const again = await browser.open(authorizationRequest(authority.issuer).url, DONE)
      assert.equal(DONE.test(again.url), trigger.keeps === true, 'the sign-in of the browser')
      await assert.rejects(signIn(authority.issuer, { person }), /did not return/, 'the old password')
      if (trigger.keeps) await refreshed(authority.issuer, own.refresh_token)
      const sub = await subOf(authority, person.email)
      const ends = (await audited(authority, 'revocation', sub)).filter((one) => one.reason === reason)
      assert.equal(ends.length, trigger.keeps ? 1 : 2)
    })
  }
})
