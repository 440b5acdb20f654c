import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { ask, delivered, onFlash, type Phones, sidOf, startPhones, until } from './phones.ts'

/* A phone kills apps when it likes, and people remove them: what was begun is finished at the next launch. */

describe('the mobile client, killed', () => {
  let phones: Phones
  before(async () => {
    phones = await startPhones()
  })
  afterEach(() => phones.rest())
  after(() => phones.stop())

  it('is killed after an offline logout: the next launch delivers it', async () => {
    const { app, flash, sid } = await phones.signedIn()
    phones.offline()
    await app.client.logout()
    app.kill()
    assert.equal((await phones.revocationsOf(sid)).length, 0)
    phones.front.mend()
    const again = phones.start(flash)
    assert.equal((await again.client.ready()).status, 'ended')
    await delivered(flash)
    assert.equal((await phones.revocationsOf(sid)).length, 1)
  })

  it('is killed at any write of a logout: it never began, or it is finished at the next launch', async () => {
    let finished = false
    let begun = 0
    for (let writes = 0; !finished; writes++) {
      assert.ok(writes < 20)
      const own = { options: { secureKeys: ['own.secret'], keep: ['theme'] } }
      const { app: first, flash, sid } = await phones.signedIn()
      flash.keychain.set('own.secret', 'private of Ann')
      flash.files.set('notes', 'private of Ann').set('more', 'private of Ann').set('theme', 'dark')
      first.kill()
      phones.offline()
      const app = phones.start(flash, { ...own, killAfterWrites: writes })
      await app.client.ready()
      const result = await app.client.logout().catch(() => undefined)
      finished = result?.local === 'cleared' && result.failures.every(({ step }) => step === 'verify')
      app.kill()
      phones.front.mend()
      const again = phones.start(flash, own)
      const cleared: string[] = []
      again.client.onClear(({ reason }) => cleared.push(reason))
      const { status } = await again.client.ready()
      if (status === 'signed-in') {
        assert.equal(begun, 0, `after ${writes} writes it had begun before`)
        assert.doesNotMatch(`${flash.keychain.get('rescind.outbox')}`, /lt_/, `after ${writes} writes`)
        assert.equal((await phones.revocationsOf(sid)).length, 0)
        assert.equal((await ask(again)).status, 200)
        assert.deepEqual(cleared, [])
      } else {
        begun++
        // Before anybody can sign in, and whoever is next sees none of it.
        assert.doesNotMatch(onFlash(flash), /private|rt_/, `after ${writes} writes`)
        assert.equal(flash.files.get('theme'), 'dark')
        if (!finished) assert.deepEqual(cleared, ['user_logout'], `after ${writes} writes`)
        await delivered(flash)
        assert.equal((await phones.revocationsOf(sid)).length, 1, `after ${writes} writes`)
      }
      again.client.close()
    }
    assert.ok(begun > 4, `${begun}`)
  })

  it('clears what was left once, however often it is killed meanwhile, and nothing that comes later', async () => {
    const { app: first, flash } = await phones.signedIn()
    flash.files.set('notes', 'private of Ann')
    first.kill()
    // The logout, and then the launch that finishes it, end after the session has gone.
    const app = phones.start(flash, { killAfterWrites: 2 })
    await app.client.ready()
    await app.client.logout()
    assert.match(onFlash(flash), /private/)
    const dying = phones.start(flash, { killAfterWrites: 0 })
    await dying.client.ready().catch(() => {})
    dying.kill()
    assert.match(onFlash(flash), /private/)
    const again = phones.start(flash)
    await again.client.ready()
    assert.doesNotMatch(onFlash(flash), /private/)
    flash.files.set('seen', 'the introduction')
    again.kill()
    await phones.start(flash).client.ready()
    assert.equal(flash.files.get('seen'), 'the introduction')
  })

  it('is killed when a first launch has ended what it found: the next one clears', async () => {
    const { app, flash } = await phones.signedIn()
    app.kill()
    flash.keychain.set('own.secret', 'private of Ann')
    flash.files.clear()
    const own = { options: { secureKeys: ['own.secret'] } }
    const dying = phones.start(flash, { ...own, killAfterWrites: 2 })
    await dying.client.ready().catch(() => {})
    dying.kill()
    assert.match(onFlash(flash), /private/)
    await phones.start(flash, own).client.ready()
    assert.doesNotMatch(onFlash(flash), /private|rt_/)
  })

  it('logs out and is killed: what came since stays', async () => {
    const { app, flash } = await phones.signedIn()
    await app.client.logout()
    await until('it is noted', () => !/uncleared/.test(onFlash(flash)))
    flash.files.set('seen', 'the introduction')
    app.kill()
    await phones.start(flash).client.ready()
    assert.equal(flash.files.get('seen'), 'the introduction')
  })

  it('logs out, signs in and is killed: it is signed in, and nothing of it is cleared', async () => {
    const { app, flash } = await phones.signedIn()
    await app.client.logout()
    flash.files.set('seen', 'the introduction')
    await app.client.signIn()
    const sid = sidOf(app)
    app.kill()
    const again = phones.start(flash)
    await again.client.ready()
    assert.equal(sidOf(again), sid)
    assert.equal(flash.files.get('seen'), 'the introduction')
  })

  it('first launch after an uninstall: what the keychain kept is ended, and never used', async () => {
    const { app, flash, sid } = await phones.signedIn()
    app.kill()
    flash.files.clear()
    const asked = phones.front.count('/oauth/token')
    const fresh = phones.start(flash)
    assert.notEqual((await fresh.client.ready()).status, 'signed-in')
    await delivered(flash)
    const [record, ...more] = await phones.revocationsOf(sid)
    assert.equal(record?.reason, 'app_uninstall')
    assert.equal(more.length, 0)
    assert.equal(phones.front.count('/oauth/token'), asked)
    assert.doesNotMatch(onFlash(flash), /rt_|lt_/)
  })
})
