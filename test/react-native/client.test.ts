import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Fate } from '../browser/front.ts'
import { PERSON } from '../setup.ts'
import { newFlash } from './phone.ts'
import { ask, delivered, onFlash, type Phones, sidOf, startPhones, until } from './phones.ts'

/* The mobile client on a phone that loses its network, against the real authority. */

describe('the mobile client', () => {
  let phones: Phones
  before(async () => {
    phones = await startPhones()
  })
  afterEach(() => phones.rest())
  after(() => phones.stop())

  for (const auth of ['app-auth', 'expo'] as const) {
    it(`signs in, calls, refreshes and logs out (${auth})`, async () => {
      const { app, sid } = await phones.signedIn(newFlash(), { auth })
      const response = await ask(app)
      assert.equal(response.status, 200)
      const result = await app.client.logout()
      assert.deepEqual(result, { local: 'cleared', server: 'confirmed', failures: [] })
      assert.deepEqual(app.screens, [['Login', undefined]])
      assert.equal((await phones.revocationsOf(sid)).length, 1)
      await assert.rejects(ask(app), { code: 'SESSION_ENDED', reason: 'user_logout' })
    })
  }

  it('is signed in at the next launch, by a refresh', async () => {
    const { app, flash, sid } = await phones.signedIn()
    app.kill()
    const again = phones.start(flash)
    const state = await again.client.ready()
    assert.equal(state.status === 'signed-in' && state.sid, sid)
    assert.equal((await ask(again)).status, 200)
    assert.doesNotMatch(onFlash(flash), /eyJ/, 'no access token rests')
  })

  it('offline: logs out at once, and delivers once when the network is back', async () => {
    const { app, flash, sid } = await phones.signedIn()
    phones.offline()
    const result = await app.client.logout()
    assert.equal(result.local, 'cleared')
    assert.equal(result.server, 'queued')
    assert.deepEqual(app.screens, [['Login', undefined]])
    phones.front.mend()
    app.network(false)
    app.network(true)
    app.network(true)
    await delivered(flash)
    assert.equal((await phones.revocationsOf(sid)).length, 1)
  })

  it('offline: nothing that rests is a token or of the person; only the ticket is left', async () => {
    const { app, flash } = await phones.signedIn(newFlash(), {
      options: { secureKeys: ['own.secret'], keep: ['theme'] },
    })
    flash.keychain.set('own.secret', 'private of Ann')
    flash.files.set('notes', 'private of Ann')
    flash.files.set('theme', 'dark')
    const cleared: string[] = []
    app.client.onClear(({ reason }) => cleared.push(reason))
    phones.offline()
    await app.client.logout()
    const left = onFlash(flash)
    assert.doesNotMatch(left, /private of|ann@example|rt_|eyJ|Ann/)
    assert.equal(left.split('lt_').length, 2)
    assert.equal(flash.files.get('theme'), 'dark')
    assert.deepEqual(cleared, ['user_logout'])
  })

  it('ended elsewhere: found on coming to the foreground, cleared, and the reason is told', async () => {
    const { app, flash, sid } = await phones.signedIn()
    flash.files.set('notes', 'private of Ann')
    await phones.end(sid, 'device_removed')
    app.foreground()
    await until('the app is told', () => app.screens.length > 0)
    const [screen, params] = app.screens[0] as [string, { reason: string; page: string }]
    assert.equal(screen, 'SignedOut')
    assert.equal(params.reason, 'device_removed')
    assert.match(params.page, /\/signed-out\?code=/)
    assert.doesNotMatch(onFlash(flash), /private|rt_|lt_/)
    assert.equal((await phones.revocationsOf(sid)).length, 1)
  })

  it('ended elsewhere: the first request finds out, with one refresh and no loop', async () => {
    const { app, sid } = await phones.signedIn()
    await phones.end(sid, 'token_reuse')
    const asked = phones.front.count('/oauth/token')
    const answers = await Promise.all(
      [1, 2, 3].map(() => ask(app).catch((error) => `${error.code} ${error.reason}`)),
    )
    assert.deepEqual(new Set(answers), new Set(['SESSION_ENDED token_reuse']))
    assert.equal(phones.front.count('/oauth/token') - asked, 1)
  })

  it('a refresh that is under way does not bring the session back', async () => {
    const { app: first, flash, sid } = await phones.signedIn()
    first.kill()
    const app = phones.start(flash)
    await app.client.ready()
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const came = new Promise<void>((resolve) =>
      phones.front.when('/oauth/token', async (): Promise<Fate> => {
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
    assert.equal((await phones.revocationsOf(sid)).length, 1)
  })

  it('pressed twice: one revocation', async () => {
    const { app, sid } = await phones.signedIn()
    const results = await Promise.all([app.client.logout(), app.client.logout()])
    for (const { local, server } of results) assert.deepEqual([local, server], ['cleared', 'confirmed'])
    assert.equal((await phones.revocationsOf(sid)).length, 1)
    assert.deepEqual(app.screens, [['Login', undefined]])
  })

  it('a keychain that refuses one entry: the others go, and it is named', async () => {
    const { app, flash, sid } = await phones.signedIn(newFlash(), {
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
    assert.equal((await phones.revocationsOf(sid)).length, 1)
  })

  it('the authority is away: the session stays, and the app is told to try again', async () => {
    const { app: first, flash } = await phones.signedIn()
    first.kill()
    phones.offline()
    const app = phones.start(flash)
    await assert.rejects(ask(app), { code: 'UNAVAILABLE' })
    phones.front.mend()
    assert.equal((await ask(app)).status, 200)
  })

  it('signs in again: the former session is ended, the data stays', async () => {
    const { app, sid, flash } = await phones.signedIn()
    flash.files.set('notes', 'private of Ann')
    await app.client.signIn()
    await delivered(flash)
    const [record, ...more] = await phones.revocationsOf(sid)
    assert.equal(record?.reason, 'user_logout')
    assert.equal(more.length, 0)
    assert.notEqual(sidOf(app), sid)
    assert.equal((await ask(app)).status, 200)
    assert.equal(flash.files.get('notes'), 'private of Ann')
  })

  it('somebody else signs in: the former session is ended, and all of its data gone before', async () => {
    const bob = { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }
    await phones.addPerson(bob)
    const person = { ...PERSON }
    const { app, sid, flash } = await phones.signedIn(newFlash(), { person })
    flash.files.set('notes', 'private of Ann')
    const cleared: string[] = []
    app.client.onClear(({ reason }) => cleared.push(reason))
    Object.assign(person, bob)
    await app.client.signIn()
    const state = app.client.state()
    assert.equal(state.status === 'signed-in' && state.claims.email, bob.email)
    assert.deepEqual(cleared, ['account_switch'])
    assert.doesNotMatch(onFlash(flash), /private|ann@/)
    assert.deepEqual(app.screens, [])
    await delivered(flash)
    const [record, ...more] = await phones.revocationsOf(sid)
    assert.equal(record?.reason, 'account_switch')
    assert.equal(more.length, 0)
    assert.equal((await ask(app)).status, 200)
  })

  for (const auth of ['app-auth', 'expo'] as const)
    it(`is one device until the app is removed, and then another (${auth})`, async () => {
      const deviceOf = async (client: Parameters<typeof ask>[0]['client']) =>
        (await client.sessions.list()).find(({ current }) => current)?.device
      const { app, flash } = await phones.signedIn(newFlash(), { auth })
      const first = await deviceOf(app.client)
      assert.equal(first?.kind, 'app')
      await app.client.logout()
      await app.client.signIn()
      assert.equal((await deviceOf(app.client))?.id, first?.id)
      app.kill()
      flash.files.clear()
      const { app: another } = await phones.signedIn(flash, { auth })
      assert.notEqual((await deviceOf(another.client))?.id, first?.id)
    })

  it('asks for a recent sign-in where one is needed, and ends all with it', async () => {
    const { app, flash } = await phones.signedIn()
    await app.client.signIn({ maxAge: 60 })
    const { revoked } = await app.client.sessions.endAll()
    assert.equal(revoked, true)
    await assert.rejects(ask(app), { code: 'SESSION_ENDED' })
    assert.doesNotMatch(onFlash(flash), /rt_/)
  })

  it('sends the token to its own APIs only', async () => {
    const { app } = await phones.signedIn()
    for (const url of ['https://api.example.org/', `${app.api}@example.org/`, `${app.api}.example.org/`])
      await assert.rejects(app.client.fetch(url), { code: 'CONFIGURATION' }, url)
    const own = { authority: 'http://login.example.com', origins: ['https://api.example.com/v1'] }
    for (const [option, value] of Object.entries(own))
      assert.throws(() => phones.start(newFlash(), { options: { [option]: value } }), {
        code: 'CONFIGURATION',
        message: new RegExp(option),
      })
  })
})
