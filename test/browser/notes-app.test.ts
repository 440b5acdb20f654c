import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { DEMO_PERSON, type Stack, startStack } from '../../tools/stack.ts'
import { launchChromium } from '../chromium.ts'
import { freePort } from '../setup.ts'

/* The example app on @rescind/client, as `npm start` serves it. */

describe('the example app', () => {
  const data = mkdtempSync(join(tmpdir(), 'rescind-notes-'))
  let stack: Stack
  let browser: Browser
  before(async () => {
    stack = await startStack({ port: String(await threePorts()), data })
    browser = await launchChromium()
  })
  after(async () => {
    await browser.close()
    await stack.close()
    rmSync(data, { recursive: true, force: true })
  })

  async function open(): Promise<Page> {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${stack.web}/notes`)
    await page.click('#sign-in')
    await page.fill('input[name=email]', DEMO_PERSON.email)
    await page.fill('input[name=password]', DEMO_PERSON.password)
    await page.click('button.primary')
    await page.waitForSelector('#notes li')
    return page
  }

  it('shows a person their notes, and nothing of them once they have logged out', async () => {
    const page = await open()
    assert.match(`${await page.textContent('#who')}`, /Dana Demo/)
    await page.waitForSelector('#sessions li')
    await page.click('#log-out')
    await page.waitForSelector('#told:not([hidden])')
    assert.equal(
      await page.textContent('#told'),
      'Nothing of you is left in this browser, and the authority has confirmed it.',
    )
    assert.doesNotMatch(await page.content(), /Dana|Buy milk/)
    await page.reload()
    await page.waitForSelector('#signed-out:not([hidden])')
    await page.context().close()
  })

  it('ends what is signed in elsewhere, which is told why', async () => {
    const [here, there] = [await open(), await open()]
    await here.waitForSelector('#sessions li')
    const told = there.waitForURL(/\/signed-out\?code=/)
    await here.click('#end-others')
    await told
    assert.equal(await here.isVisible('#signed-in'), true)
    await Promise.all([here.context().close(), there.context().close()])
  })
})

/** The first of three free ports in a row. */
async function threePorts(): Promise<number> {
  for (;;) {
    const first = await freePort()
    if (first < 65_000) return first
  }
}
