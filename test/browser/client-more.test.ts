import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { bundle } from '../../tools/bundle.ts'
import { launchChromium } from '../chromium.ts'
import { PERSON } from '../setup.ts'
import { run, signIn, startWorld, tokensOf, until, type World } from './world.ts'

/* What goes with the client: its service worker, its React hook, and sign-ins that go wrong. */

describe('with the client', () => {
  let world: World
  let browser: Browser
  before(async () => {
    world = await startWorld()
    browser = await launchChromium()
  })
  after(async () => {
    await browser.close()
    await world.stop()
  })

  it('a service worker delivers a logout when the network is back and no page is open', async () => {
    const context = await browser.newContext()
    await context.grantPermissions(['background-sync' as never]).catch(() => {})
    const page = await context.newPage()
    await signIn(world, page)
    await run(page, 'await app.install()')
    const { sid } = await tokensOf(page)
    world.front.when('/oauth/revoke', () => 'drop')
    const { server } = await run<{ server: string }>(
      page,
      'return await client.logout({ redirectTo: false })',
    )
    assert.equal(server, 'queued')
    const elsewhere = await context.newPage()
    await elsewhere.goto(`${world.app}/config.js`)
    await page.close()
    world.front.mend()
    const chrome = await context.newCDPSession(elsewhere)
    const found = new Promise<string>((resolve) =>
      chrome.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
        const [one] = registrations.filter(({ scopeURL }) => scopeURL.startsWith(world.app))
        if (one) resolve(one.registrationId)
      }),
    )
    await chrome.send('ServiceWorker.enable')
    const registrationId = await found
    await chrome.send('ServiceWorker.dispatchSyncEvent', {
      ...{ origin: world.app, registrationId, tag: 'rescind:spa', lastChance: false },
    })
    const end = Date.now() + 15_000
    while (!(await world.revocations()).some((one) => one.sid === sid)) {
      assert.ok(Date.now() < end, 'it was delivered')
      await sleep(50)
    }
    await context.close()
  })

  it('a React component follows the session', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    const code = await bundle('test/browser/app/component.js')
    await context.route('**/component.js', (route) =>
      route.fulfill({ body: code, contentType: 'text/javascript' }),
    )
    await page.goto(`${world.app}/login`)
    await until(page, 'globalThis.app?.done')
    await page.evaluate("import('/component.js').then(({ show }) => show(app.client))")
    await until(page, "document.querySelector('#status')?.textContent === 'signed-out'")
    await signIn(world, page)
    await page.evaluate("import('/component.js').then(({ show }) => show(app.client))")
    await until(page, "document.querySelector('#status')?.textContent === 'signed-in'")
    await run(page, 'await client.logout({ redirectTo: false })')
    await until(page, "document.querySelector('#status')?.textContent === 'ended'")
    await context.close()
  })

  const answers = {
    'of another sign-in': (url: URL) => url.searchParams.set('state', 'other'),
    'of another authority': (url: URL) => url.searchParams.set('iss', 'https://evil.example'),
    'that names no authority': (url: URL) => url.searchParams.delete('iss'),
    'with somebody else’s code': (url: URL) => url.searchParams.set('code', 'x'.repeat(43)),
    'that refuses': (url: URL) => {
      url.searchParams.delete('code')
      url.searchParams.set('error', 'access_denied')
    },
  }
  for (const [name, change] of Object.entries(answers))
    it(`an answer ${name} opens nothing`, async () => {
      const context = await browser.newContext()
      const page = await context.newPage()
      await page.goto(`${world.app}/login`)
      await until(page, 'globalThis.app?.done')
      await run(page, 'client.signIn()')
      await page.waitForSelector('input[name=email]')
      // The page that it comes back to does nothing, for now.
      await page.route('**/app.js', (route) => route.fulfill({ body: '', contentType: 'text/javascript' }))
      await page.fill('input[name=email]', PERSON.email)
      await page.fill('input[name=password]', PERSON.password)
      await page.click('button.primary')
      await page.waitForURL(/\/callback\?/)
      const url = new URL(page.url())
      change(url)
      await page.unroute('**/app.js')
      await page.goto(url.href)
      await until(page, 'globalThis.app?.failed')
      assert.match(await run<string>(page, 'return app.failed'), /^SIGN_IN_FAILED /)
      assert.equal(await run(page, 'return client.state().status'), 'signed-out')
      assert.doesNotMatch(page.url(), /code=|state=/)
      await context.close()
    })

  it('an answer is looked at once, and only in the tab that began', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    let answer = ''
    page.on('request', (request) => {
      if (request.url().startsWith(`${world.app}/callback`)) answer ||= request.url()
    })
    await signIn(world, page)
    const { sid } = await tokensOf(page)
    const other = await context.newPage()
    await other.goto(answer)
    await until(other, 'globalThis.app?.failed')
    await page.goto(answer)
    await until(page, 'globalThis.app?.failed')
    assert.equal(await run(page, 'return client.state().sid'), sid, 'the session that was there stays')
    await context.close()
  })

  it('logging out while a sign-in comes back wins: what it brought is ended', async () => {
    const context = await browser.newContext()
    const other = await context.newPage()
    await other.goto(`${world.app}/login`)
    await until(other, 'globalThis.app?.done')
    const page = await context.newPage()
    let came = () => {}
    const exchanging = new Promise<void>((resolve) => {
      came = resolve
    })
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let sid = ''
    await page.route('**/oauth/token', async (route) => {
      const response = await route.fetch()
      const { id_token } = await response.json()
      sid = JSON.parse(Buffer.from(`${id_token}`.split('.')[1] ?? '', 'base64url').toString()).sid
      came()
      await held
      await route.fulfill({ response })
    })
    signIn(world, page).catch(() => {})
    await exchanging
    await run(other, 'await client.logout({ redirectTo: false })')
    release()
    await until(page, 'globalThis.app?.failed')
    assert.match(await run<string>(page, 'return app.failed'), /SESSION_ENDED/)
    await until(page, 'app.outbox().then((all) => all.length === 0)')
    assert.equal((await world.revocations()).filter((one) => one.sid === sid).length, 1)
    await context.close()
  })

  it('needs https, and says so', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${world.app}/login`)
    await until(page, 'globalThis.app?.done')
    const refused = await page.evaluate(`import('/client.js').then(({ createClient }) => {
      try { createClient({ ...app.config, authority: 'http://login.example.com' }) } catch (error) { return error.code }
    })`)
    assert.equal(refused, 'CONFIGURATION')
    await context.close()
  })
})
