import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'

/** Encrypts what rests in the store. */
export type Seal = {
  /** AES-256-GCM. `context` is bound to the result: it only opens again under the same one. */
  close(plain: string, context: string): Uint8Array
  /** @throws when the bytes were changed, or sealed under another key or context */
  open(sealed: Uint8Array, context: string): string
}

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** @param masterKey 32 bytes */
export function createSeal(masterKey: Uint8Array): Seal {
  const key = new Uint8Array(hkdfSync('sha256', masterKey, '', 'rescind records at rest', 32))
  return {
    close(plain, context) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
      const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, body, cipher.getAuthTag()])
    },
    open(sealed, context) {
      const bytes = Buffer.from(sealed)
      const nonce = bytes.subarray(0, NONCE_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
      decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
      const body = bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES)
      return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8')
    },
  }
}

/**
 * The key that everything at rest is sealed under: from the configuration, or from a file beside the data that
 * is made on the first start. Whoever holds the data and this key holds the authority.
 */
export function masterKey(configured: string | undefined, path: string): Uint8Array {
  if (configured) return Buffer.from(configured, 'base64url')
  if (!existsSync(path)) {
    try {
      writeFileSync(path, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx' })
    } catch (error) {
      // Two processes at the first start: the other one made it.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  chmodSync(path, 0o600)
  const key = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64url')
  if (key.length !== 32)
    throw new Error(`the master key in ${path} is not 32 bytes; restore it from your backup`)
  return key
}
