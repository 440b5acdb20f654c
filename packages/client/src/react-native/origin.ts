import { RescindClientError } from '../errors.ts'

/** This machine, and what the emulator of Android calls it. */
const LOCAL = /^http:\/\/(localhost|127\.0\.0\.1|10\.0\.2\.2)(:\d+)?$/

/**
 * The origin that a URL is. Not with `URL`: on phones it may know no `origin`.
 * @param option whose value it is
 * @throws RescindClientError CONFIGURATION
 */
export function originOf(url: string, option: string): string {
  const origin = url.replace(/\/$/, '')
  if (/^https:\/\/[a-z0-9.-]+(:\d+)?$/.test(origin) || LOCAL.test(origin)) return origin
  throw new RescindClientError(
    'CONFIGURATION',
    `\`${option}\` has to be an https URL without a path, in lower case.`,
  )
}
