import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { newFlash } from './phone.ts'
import { ask, delivered, onFlash, type Phones, sidOf, startPhones, until } from './phones.ts'

/* Keychains that are locked, full or broken. Nobody is signed in by accident, and a logout logs out. */

describe('the mobile client, on a phone whose storage fails', () => {
  let phones: Phones
  before(async () => {
    phones = await startPhones()
  })
  afterEach(() => phones.rest())
  after(() => phones.stop())

  /** A phone that refuses what is named, from now on until it is said otherwise. */
  async function refusing() {
    const refused = new Set<string>()
    const refuse = (what: string, key: string) => refused.has(`${what} ${key}`)
    const signed = await phones.signedIn(newFlash(), { refuse })
    return { ...signed, refused, refuse }
  }

  it('can’t be written: the logout is delivered from memory, and nothing is left', async () => {
    const { app, flash, sid, refused } = await refusing()
    refused.add('set rescind.outbox').add('set rescind.session')
    const result = await app.client.logout()
    assert.equal(result.server, 'confirmed')
    assert.equal(result.local, 'incomplete')
    assert.deepEqual(
      result.failures.map(({ step }) => step),
      ['outbox'],
    )
    assert.doesNotMatch(onFlash(flash), /rt_|lt_|ann@/)
    assert.equal((await phones.revocationsOf(sid)).length, 1)
    assert.deepEqual(app.screens, [['Login', undefined]])
  })

  it('can’t keep the ticket, and there is no network: it is gone from here, and the app is told', async () => {
    const { app, flash, refused, refuse } = await refusing()
    refused.add('set rescind.outbox')
    phones.offline()
    const { server } = await app.client.logout()
    assert.equal(server, 'undelivered')
    assert.doesNotMatch(onFlash(flash), /rt_|lt_|ann@/)
    app.kill()
    const again = phones.start(flash, { refuse })
    assert.equal((await again.client.ready()).status, 'ended')
  })

  it('can’t be read: nobody is signed in by it, and once it can be, they are', async () => {
    const { app, flash, sid, refused, refuse } = await refusing()
    app.kill()
    refused.add('get rescind.session')
    const again = phones.start(flash, { refuse })
    await assert.rejects(again.client.ready(), { code: 'UNAVAILABLE' })
    await assert.rejects(ask(again), { code: 'UNAVAILABLE' })
    await assert.rejects(again.client.signIn(), { code: 'UNAVAILABLE' })
    assert.equal(again.client.state().status, 'unknown')
    refused.clear()
    assert.equal((await again.client.ready()).status, 'signed-in')
    assert.equal(sidOf(again), sid)
  })

  it('can never be read again: a logout gives up what is there, and says that it could not tell', async () => {
    const { app, flash, refused, refuse } = await refusing()
    app.kill()
    refused.add('get rescind.session')
    const again = phones.start(flash, { refuse })
    const { server, local } = await again.client.logout()
    assert.equal(local, 'incomplete')
    assert.equal(server, 'undelivered')
    assert.doesNotMatch(onFlash(flash), /rt_|lt_|ann@/)
    await again.client.signIn()
    assert.equal((await ask(again)).status, 200)
  })

  it('is so slow that a logout does not wait for it: it is carried out all the same', async () => {
    const { app, flash, sid } = await phones.signedIn()
    app.kill()
    // Longer than a logout looks, shorter than it writes.
    const again = phones.start(flash, { slow: 120 })
    await again.client.logout()
    assert.equal(again.client.state().status, 'ended')
    await until('it is written', () => !/rt_/.test(onFlash(flash)))
    again.kill()
    phones.start(flash)
    await delivered(flash)
    assert.equal((await phones.revocationsOf(sid)).length, 1)
  })

  it('can’t say whether this is the first launch: the session is not used until it can', async () => {
    const { app, flash, refused, refuse } = await refusing()
    app.kill()
    refused.add('get rescind.installed')
    const asked = phones.front.count('/oauth/token')
    const again = phones.start(flash, { refuse })
    await assert.rejects(ask(again), { code: 'UNAVAILABLE' })
    await assert.rejects(ask(again), { code: 'UNAVAILABLE' })
    assert.equal(phones.front.count('/oauth/token'), asked)
  })

  it('can’t keep a sign-in: it is ended, and nobody is signed in', async () => {
    const refused = new Set<string>()
    const refuse = (what: string, key: string) => refused.has(`${what} ${key}`)
    const app = phones.start(newFlash(), { refuse })
    await app.client.ready()
    refused.add('set rescind.session')
    const revoked = phones.front.count('/oauth/revoke')
    await assert.rejects(app.client.signIn(), { code: 'UNAVAILABLE' })
    assert.notEqual(app.client.state().status, 'signed-in')
    await until('it is ended', () => phones.front.count('/oauth/revoke') === revoked + 1)
    refused.clear()
    await app.client.signIn()
    const all = await app.client.sessions.list()
    assert.deepEqual(
      all
        .filter(({ endedAt }) => !endedAt)
        .map(({ sid }) => sid)
        .filter((sid) => sid === sidOf(app)),
      [sidOf(app)],
    )
  })

  it('can’t keep what a refresh brought: this app goes on with it', async () => {
    const { app, flash, refused, refuse } = await refusing()
    app.kill()
    const again = phones.start(flash, { refuse })
    await again.client.ready()
    refused.add('set rescind.session')
    await assert.rejects(ask(again), { code: 'UNAVAILABLE' })
    const asked = phones.front.count('/oauth/token')
    assert.equal((await ask(again)).status, 200)
    assert.equal(phones.front.count('/oauth/token'), asked)
  })

  it('has half of a session, or none that can be understood: nobody is signed in', async () => {
    const whole = await phones.signedIn()
    whole.app.kill()
    const stored = JSON.parse(`${whole.flash.keychain.get('rescind.session')}`)
    const { ticket: _, ...half } = stored.tokens
    for (const text of ['', '{', '[]', 'null', JSON.stringify({ ...stored, tokens: half })]) {
      whole.flash.keychain.set('rescind.session', text).set('rescind.outbox', '[{"sid":1},null]')
      const app = phones.start(whole.flash)
      assert.equal((await app.client.ready()).status, 'signed-out', text)
      await assert.rejects(ask(app), { code: 'NOT_SIGNED_IN' })
      app.kill()
    }
  })

  it('has an entry in `storage` that can’t be removed: the others are, and it is named', async () => {
    const { app, flash, refused } = await refusing()
    flash.files.set('stuck', 'x').set('notes', 'private of Ann')
    refused.add('remove stuck')
    const { local, failures } = await app.client.logout()
    assert.equal(local, 'incomplete')
    assert.deepEqual(
      failures.map(({ step }) => step),
      ['storage'],
    )
    assert.equal(flash.files.has('notes'), false)
    await delivered(flash)
  })
})
