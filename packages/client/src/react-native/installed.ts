import type { PlainStorage } from './platform.ts'

/** A keychain outlives an uninstall, on iOS; this mark does not. It names the device, too. */
export const INSTALLED = 'rescind.installed'

/** Knows this installation of the app from another. */
export function createInstalled(plain: PlainStorage) {
  let device: string | undefined
  return {
    /** @returns whether there is a mark */
    async load(): Promise<boolean> {
      device = (await plain.getItem(INSTALLED)) ?? undefined
      return device !== undefined
    },
    /** Leaves the mark, where there is none. @returns what the authority calls this device */
    async mark(): Promise<string> {
      if (device === undefined) {
        const id = newDevice()
        await plain.setItem(INSTALLED, id)
        device = id
      }
      return device
    },
  }
}

/** It tells one phone of a person from another, and is no secret; not every engine of phones has `crypto`. */
function newDevice(): string {
  const some = () => Math.random().toString(36).slice(2, 12)
  return `${some()}-${some()}-${some()}`
}
