import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { launchChromium } from '../chromium.ts'
import { PERSON } from '../setup.ts'
import { run, signedIn, signIn, startWorld, tokensOf, until, type World } from './world.ts'

const NEWER = { ...PERSON, password: 'a newer password of Ann' }

/* Ending all others: they end, and this one goes on. Three browsers of one person, with an app each. */

describe('ending all others', () => {
  let world: World
  let browser: Browser
  let contexts: BrowserContext[] = []
  before(async () => {
    world = await startWorld()
    browser = await launchChromium()
  })
  afterEach(async () => {
    for (const context of contexts) await context.close()
    contexts = []
  })
  after(async () => {
    await browser.close()
    await world.stop()
  })

  async function open(person = PERSON): Promise<Page> {
    const context = await browser.newContext()
    contexts.push(context)
    const page = await context.newPage()
    await signIn(world, page, person)
    return page
  }
  const works = async (page: Page) => {
    // The guard hears what time it is with the next heartbeat.
    await until(page, 'app.show().then(() => true)')
    assert.match(`${await page.textContent('#private')}`, /Buy milk/)
  }
  const told = (page: Page) => page.waitForURL(/\/signed-out\?code=/)

  it('a new password ends the others and keeps this one', async () => {
    const here = await open()
    const there = [await open(), await open()]
    const theirs = await Promise.all(there.map(tokensOf))
    const gone = there.map(told)
    const changed = await run<{ status: number; reasons: string[] }>(
      here,
      `const body = JSON.stringify({ currentPassword: '${PERSON.password}', newPassword: 'a newer password of Ann' })
       const headers = { 'content-type': 'application/json' }
       const answer = await client.fetch(app.config.authority + '/v1/account/password', { method: 'POST', headers, body })
       const { ended = [] } = await answer.json()
       return { status: answer.status, reasons: ended.map(({ reason }) => reason) }`,
    )
    assert.equal(changed.status, 200)
    assert.ok(changed.reasons.length >= 2 && changed.reasons.every((reason) => reason === 'password_change'))
    await Promise.all(gone)
    for (const page of there) {
      await page.goto(`${world.app}/login`)
      await until(page, 'globalThis.app?.done')
      assert.equal(await run(page, 'return client.state().reason'), 'password_change')
    }
    for (const { sid } of theirs) {
      const records = (await world.revocations()).filter((one) => one.sid === sid)
      assert.equal(records.length, 1)
    }
    await works(here)
    // Its browser is still signed in at the authority, too.
    await here.reload()
    await signedIn(here)
    await works(here)
  })

  it('from the page of one’s devices, with the password asked for again: others end, this one works', async () => {
    const here = await open(NEWER)
    const there = [await open(NEWER), await open(NEWER)]
    const mine = await tokensOf(here)
    const theirs = await Promise.all(there.map(tokensOf))
    // Six minutes go by, for the authority and for the app that is going to stay.
    world.authority.advance(6 * 60_000)
    await run(here, 'const { now } = Date; Date.now = () => now() + 6 * 60_000')
    const page = await (contexts[0] as BrowserContext).newPage()
    await page.goto(`${world.authority.issuer}/devices`)
    const gone = there.map(told)
    await page.getByRole('link', { name: 'Log out all other devices' }).click()
    await page.waitForSelector('input[name=password]')
    await page.fill('input[name=email]', PERSON.email)
    await page.fill('input[name=password]', 'a newer password of Ann')
    await page.click('button.primary')
    await page.getByRole('button', { name: 'Log them out' }).click()
    assert.match(
      `${await page.textContent('.notice')}`,
      /Ended at \d\d:\d\d:\d\d UTC, confirmed by 1 of 1 service/,
    )
    await Promise.all(gone)
    for (const { accessToken, sid } of theirs) {
      const answer = await fetch(`${world.api}/notes`, { headers: { authorization: `DPoP ${accessToken}` } })
      assert.equal(answer.status, 401)
      const session = await world.authority.authority.store.read({ kind: 'session', sid })
      assert.equal(session?.ended?.reason, 'device_removed')
    }
    await works(here)
    assert.equal((await tokensOf(here)).sid, mine.sid)
    await page.reload()
    assert.match(`${await page.textContent('main')}`, /This device/)
  })
})
