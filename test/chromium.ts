import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium } from 'playwright-core'

const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]
const QUIET = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * A real browser: the one that `CHROMIUM` names, an installed one, or the one from npm. Not with the switches that its
 * package asks for: they take away web security, and the processes that keep pages apart.
 */
async function found() {
  const executablePath =
    [process.env.CHROMIUM, ...INSTALLED].find((path) => path && existsSync(path)) ?? (await packaged())
  // As people have it: what the back button brings back may come from memory.
  return {
    executablePath,
    args: ['--no-sandbox', ...QUIET],
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  }
}

async function packaged(): Promise<string> {
  // The package unpacks the libraries that it needs only where it believes to run in a cloud function.
  process.env.AWS_EXECUTION_ENV ??= 'AWS_Lambda_nodejs22.x'
  const { default: packaged } = await import('@sparticuz/chromium')
  return packaged.executablePath()
}

export async function launchChromium(): Promise<Browser> {
  return chromium.launch(await found())
}

/** One with a profile in a folder, which outlives it. */
export async function launchProfile(folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, await found())
}
