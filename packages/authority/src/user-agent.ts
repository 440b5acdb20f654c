import Bowser from 'bowser'
import type { Device } from './domain/device.ts'
import { plain } from './plain.ts'

/** What is longer is cut off: the patterns that it is held against are not to be kept busy. */
export const MAX_USER_AGENT = 400
const MAX_PART = 30
const KINDS: readonly string[] = ['desktop', 'mobile', 'tablet']

/** What a user agent says of itself; it may say what it likes. */
export function describeUserAgent(userAgent: string): Pick<Device, 'name' | 'browser' | 'os' | 'kind'> {
  const text = plain(userAgent, MAX_USER_AGENT)
  const said = text === '' ? undefined : Bowser.parse(text)
  const browser = plain(said?.browser.name ?? '', MAX_PART)
  const os = plain(said?.os.name ?? '', MAX_PART)
  const type = said?.platform.type ?? ''
  return {
    name: [browser, os].filter(Boolean).join(' on ') || 'Unknown device',
    ...(browser ? { browser } : {}),
    ...(os ? { os } : {}),
    kind: KINDS.includes(type) ? (type as Device['kind']) : 'unknown',
  }
}
