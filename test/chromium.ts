import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
]
const QUIET = [
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** A real browser: the one that `CHROMIUM` names, an installed one, or the one from npm. */
export async function launchChromium(): Promise<Browser> {
  const known = [process.env.CHROMIUM, ...INSTALLED].find((path) => path && existsSync(path))
  if (known)
    return chromium.launch({ executablePath: known, args: ['--no-sandbox', '--disable-gpu', ...QUIET] })
  // The package unpacks the libraries that it needs only where it believes to run in a cloud function.
  process.env.AWS_EXECUTION_ENV ??= 'AWS_Lambda_nodejs22.x'
  const { default: packaged } = await import('@sparticuz/chromium')
  return chromium.launch({
    executablePath: await packaged.executablePath(),
    args: [...packaged.args, ...QUIET],
  })
}
