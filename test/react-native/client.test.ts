import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ExampleApi, startExampleApi } from '../../examples/api/api.ts'
import { type Fate, type Front, startFront } from '../browser/front.ts'
import { API, API_GUARD, freePort, startTestAuthority, type TestAuthority } from '../setup.ts'
import { lives } from '../sign-in.ts'
import { type App, type Flash, type Launch, launch, newFlash } from './phone.ts'

/* The mobile client on a phone that loses its network and kills its apps, against the real authority. */

describe('the mobile client', () => {
  let authority: TestAuthority
  let front: Front
  let api: ExampleApi
  const apps: App[] = []
  before(async () => {
    const port = await freePort()
    authority = await startTestAuthority({ issuer: `http://localhost:${port}`, logLevel: 'silent' })
    front = await startFront(port, Number(new URL(authority.url).port))
    const credentials = API_GUARD
    api = await startExampleApi({
      port: 0,
      issuer: authority.issuer,
      audience: API,
      credentials,
      origins: [],
    })
  })
  afterEach(() => {
    front.mend()
    for (const app of apps.splice(0)) app.client.close()
  })
  after(async () => {
    await Promise.all([api.close(), front.stop()])
    await authority.stop()
  })

  function start(flash: Flash, more: Partial<Launch> = {}): App {
    const app = launch({ issuer: authority.issuer, api: api.url, flash, ...more })
    apps.push(app)
    return app
  }
  async function signedIn(flash = newFlash(), more: Partial<Launch> = {}) {
    const app = start(flash, more)
    await app.client.ready()
    await app.client.signIn()
    const state = app.client.state()
    assert.equal(state.status, 'signed-in')
    return { app, flash, sid: state.status === 'signed-in' ? state.sid : '' }
  }
  const offline = () => front.when('*', () => 'drop')
  const ask = (app: App) => app.client.fetch(`${api.url}/notes`)
  async function revocationsOf(sid: string) {
    const filter = { event: 'revocation' as const, sid, limit: 100 }
    return authority.authority.store.read({ kind: 'audit', filter } as never) as Promise<{ reason: string }[]>
  }
  async function until(what: string, fits: () => boolean | Promise<boolean>) {
    const end = Date.now() + 15_000
    while (!(await fits())) {
      assert.ok(Date.now() < end, what)
      await sleep(20)
    }
  }
  const delivered = (flash: Flash) =>
    until('the logout is delivered', () => (flash.keychain.get('rescind.outbox') ?? '[]') === '[]')
  const onFlash = ({ keychain, files }: Flash) => JSON.stringify([[...keychain], [...files]])
  async function end(sid: string, reason: string) {
    const { store, now, feed } = authority.authority
    const request = { by: { kind: 'session' as const, sid }, actor: 'test', reason } as never
    await store.transact({ kind: 'revoke', request, at: now() })
    await until('the API has heard of it', () => feed.guards().every(({ behind }) => behind === 0))
  }

  for (const auth of ['app-auth', 'expo'] as const) {
    it(`signs in, calls, refreshes and logs out (${auth})`, async () => {
      const { app, sid } = await signedIn(newFlash(), { auth })
      const response = await ask(app)
      assert.equal(response.status, 200)
      const result = await app.client.logout()
      assert.deepEqual(result, { local: 'cleared', server: 'confirmed', failures: [] })
      assert.deepEqual(app.screens, [['Login', undefined]])
      assert.equal((await revocationsOf(sid)).length, 1)
      await assert.rejects(ask(app), { code: 'SESSION_ENDED', reason: 'user_logout' })
    })
  }

  it('is signed in at the next launch, by a refresh', async () => {
    const { app, flash, sid } = await signedIn()
    app.kill()
    const again = start(flash)
    const state = await again.client.ready()
    assert.equal(state.status === 'signed-in' && state.sid, sid)
    assert.equal((await ask(again)).status, 200)
    assert.doesNotMatch(onFlash(flash), /eyJ/, 'no access token rests')
  })

  it('offline: logs out at once, and delivers once when the network is back', async () => {
    const { app, flash, sid } = await signedIn()
    offline()
    const result = await app.client.logout()
    assert.equal(result.local, 'cleared')
    assert.equal(result.server, 'queued')
    assert.deepEqual(app.screens, [['Login', undefined]])
    front.mend()
    app.network(false)
    app.network(true)
    app.network(true)
    await delivered(flash)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('offline: nothing that rests is a token or of the person; only the ticket is left', async () => {
    const { app, flash } = await signedIn(newFlash(), {
      options: { secureKeys: ['own.secret'], keep: ['theme'] },
    })
    flash.keychain.set('own.secret', 'private of Ann')
    flash.files.set('notes', 'private of Ann')
    flash.files.set('theme', 'dark')
    const cleared: string[] = []
    app.client.onClear(({ reason }) => cleared.push(reason))
    offline()
    await app.client.logout()
    const left = onFlash(flash)
    assert.doesNotMatch(left, /private of|ann@example|rt_|eyJ|Ann/)
    assert.equal(left.split('lt_').length, 2)
    assert.equal(flash.files.get('theme'), 'dark')
    assert.deepEqual(cleared, ['user_logout'])
  })

  it('is killed after an offline logout: the next launch delivers it', async () => {
    const { app, flash, sid } = await signedIn()
    offline()
    await app.client.logout()
    app.kill()
    assert.equal((await revocationsOf(sid)).length, 0)
    front.mend()
    const again = start(flash)
    assert.equal((await again.client.ready()).status, 'ended')
    await delivered(flash)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('is killed at any write of a logout: it never began, or it is finished at the next launch', async () => {
    let finished = false
    let begun = 0
    for (let writes = 0; !finished; writes++) {
      assert.ok(writes < 20)
      const { app: first, flash, sid } = await signedIn()
      flash.files.set('notes', 'private of Ann')
      first.kill()
      offline()
      const app = start(flash, { killAfterWrites: writes })
      await app.client.ready()
      const result = await app.client.logout().catch(() => undefined)
      finished = result?.local === 'cleared' && result.failures.every(({ step }) => step === 'verify')
      app.kill()
      front.mend()
      const again = start(flash)
      const { status } = await again.client.ready()
      if (status === 'signed-in') {
        assert.equal(begun, 0, `after ${writes} writes it had begun before`)
        assert.equal((await revocationsOf(sid)).length, 0)
        assert.equal((await ask(again)).status, 200)
      } else {
        begun++
        await delivered(flash)
        assert.equal((await revocationsOf(sid)).length, 1, `after ${writes} writes`)
      }
      again.client.close()
    }
    assert.ok(begun > 2, `${begun}`)
  })

  it('first launch after an uninstall: what the keychain kept is ended, and never used', async () => {
    const { app, flash, sid } = await signedIn()
    app.kill()
    flash.files.clear()
    const asked = front.count('/oauth/token')
    const fresh = start(flash)
    assert.notEqual((await fresh.client.ready()).status, 'signed-in')
    await delivered(flash)
    const [record, ...more] = await revocationsOf(sid)
    assert.equal(record?.reason, 'app_uninstall')
    assert.equal(more.length, 0)
    assert.equal(front.count('/oauth/token'), asked)
    assert.doesNotMatch(onFlash(flash), /rt_|lt_/)
  })

  it('ended elsewhere: found on coming to the foreground, cleared, and the reason is told', async () => {
    const { app, flash, sid } = await signedIn()
    flash.files.set('notes', 'private of Ann')
    await end(sid, 'device_removed')
    app.foreground()
    await until('the app is told', () => app.screens.length > 0)
    const [screen, params] = app.screens[0] as [string, { reason: string; page: string }]
    assert.equal(screen, 'SignedOut')
    assert.equal(params.reason, 'device_removed')
    assert.match(params.page, /\/signed-out\?code=/)
    assert.doesNotMatch(onFlash(flash), /private|rt_|lt_/)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('ended elsewhere: the first request finds out, with one refresh and no loop', async () => {
    const { app, sid } = await signedIn()
    await end(sid, 'token_reuse')
    const asked = front.count('/oauth/token')
    const answers = await Promise.all(
      [1, 2, 3].map(() => ask(app).catch((error) => `${error.code} ${error.reason}`)),
    )
    assert.deepEqual(new Set(answers), new Set(['SESSION_ENDED token_reuse']))
    assert.equal(front.count('/oauth/token') - asked, 1)
  })

  it('a refresh that is under way does not bring the session back', async () => {
    const { app: first, flash, sid } = await signedIn()
    first.kill()
    const app = start(flash)
    await app.client.ready()
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const came = new Promise<void>((resolve) =>
      front.when('/oauth/token', async (): Promise<Fate> => {
        resolve()
        await held
        return 'pass'
      }),
    )
    const asking = ask(app).catch((error) => error.code)
    await came
    const result = await app.client.logout()
    assert.equal(result.server, 'confirmed')
    release()
    assert.equal(await asking, 'SESSION_ENDED')
    assert.equal(app.client.state().status, 'ended')
    assert.doesNotMatch(onFlash(flash), /rt_/)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('pressed twice: one revocation', async () => {
    const { app, sid } = await signedIn()
    const results = await Promise.all([app.client.logout(), app.client.logout()])
    for (const { local, server } of results) assert.deepEqual([local, server], ['cleared', 'confirmed'])
    assert.equal((await revocationsOf(sid)).length, 1)
    assert.deepEqual(app.screens, [['Login', undefined]])
  })

  it('a keychain that refuses one entry: the others go, and it is named', async () => {
    const { app, flash, sid } = await signedIn(newFlash(), {
      options: { secureKeys: ['not a key', 'own.secret'] },
    })
    flash.keychain.set('own.secret', 'private of Ann')
    const result = await app.client.logout()
    assert.equal(result.local, 'incomplete')
    assert.equal(result.server, 'confirmed')
    assert.deepEqual(
      result.failures.map(({ step }) => step),
      ['secureStore not a key'],
    )
    assert.equal(flash.keychain.has('own.secret'), false)
    assert.equal((await revocationsOf(sid)).length, 1)
  })

  it('the authority is away: the session stays, and the app is told to try again', async () => {
    const { app: first, flash } = await signedIn()
    first.kill()
    offline()
    const app = start(flash)
    await assert.rejects(ask(app), { code: 'UNAVAILABLE' })
    front.mend()
    assert.equal((await ask(app)).status, 200)
  })

  it('somebody else signs in: the former session is ended', async () => {
    const { app, sid, flash } = await signedIn()
    await app.client.signIn()
    await delivered(flash)
    assert.equal((await revocationsOf(sid)).length, 1)
    assert.equal((await ask(app)).status, 200)
    assert.equal(await lives(authority.issuer, 'nothing'), false)
  })
})
