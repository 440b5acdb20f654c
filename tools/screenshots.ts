// Makes pictures of every page into screenshots/: light and dark, phone and desktop.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import { launchChromium } from '../test/chromium.ts'
import { makeScene, type Scene, VISITS } from '../test/page-visits.ts'

const OUT = join(import.meta.dirname, '../screenshots')
const SIZES = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 860 } }

rmSync(OUT, { recursive: true, force: true })
mkdirSync(OUT, { recursive: true })
const browser = await launchChromium()
try {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const scene = await makeScene()
      const context = await browser.newContext({ colorScheme, viewport, locale: 'en-GB' })
      await takeAll(scene, context, `${size}-${colorScheme}`)
      await context.close()
      await scene.authority.stop()
    }
  }
} finally {
  await browser.close()
}

async function takeAll(scene: Scene, context: BrowserContext, variant: string) {
  for (const [name, visit] of Object.entries(VISITS)) {
    const page: Page = await context.newPage()
    await visit(scene, page)
    await page.screenshot({ path: join(OUT, `${name}-${variant}.png`), fullPage: true })
    await page.close()
    process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${name} ${variant}` : '')
  }
}
