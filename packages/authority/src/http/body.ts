import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { RescindError } from '../errors.ts'

/** The largest body that any endpoint takes, in bytes. */
export const MAX_BODY = 64 * 1024

/**
 * Reads a body, and stops reading once it is too long.
 * @throws RescindError PAYLOAD_TOO_LARGE
 */
export function readBody(req: IncomingMessage): Promise<Buffer> {
  if (declaredTooLong(req)) return Promise.reject(tooLarge())
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    req.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > MAX_BODY) {
        req.pause()
        req.removeAllListeners('data')
        reject(tooLarge())
        return
      }
      chunks.push(chunk)
    })
    req.on('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)))
    req.on('error', () => reject(new RescindError('VALIDATION_ERROR', 'The request body ended early.')))
    req.on('aborted', () => reject(new RescindError('VALIDATION_ERROR', 'The request body ended early.')))
  })
}

/** Whether the headers alone say that the body is too long. */
export function declaredTooLong(req: IncomingMessage): boolean {
  return Number(req.headers['content-length'] ?? 0) > MAX_BODY
}

/** The refusal of a body that is too long. */
export function tooLarge(): RescindError {
  return new RescindError('PAYLOAD_TOO_LARGE', `The request body may have at most ${MAX_BODY} bytes.`)
}

function mediaType(req: IncomingMessage): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function text(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new RescindError('VALIDATION_ERROR', 'The request body is not valid UTF-8.')
  return bytes.toString('utf8')
}

export function isJson(req: IncomingMessage): boolean {
  return mediaType(req) === 'application/json'
}

const STRINGS = /"(?:[^"\\]|\\.)*"/g

/** How many strings a JSON text has. Tokens need no escapes, and then quotes can be counted. */
function stringsIn(json: string): number {
  if (json.includes('\\')) return json.match(STRINGS)?.length ?? 0
  let quotes = 0
  for (let at = json.indexOf('"'); at >= 0; at = json.indexOf('"', at + 1)) quotes++
  return quotes / 2
}

/** How many strings a value has, member names counted: a member that came twice is missing from what was parsed. */
function strings(value: unknown): number {
  if (typeof value === 'string') return 1
  if (typeof value !== 'object' || value === null) return 0
  const names = Array.isArray(value) ? 0 : Object.keys(value).length
  return Object.values(value).reduce((sum: number, one) => sum + strings(one), names)
}

/**
 * Reads a JSON object; a member given twice is refused (RFC 8259 §4: what it means would be anybody's guess).
 * @throws RescindError UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE, VALIDATION_ERROR
 */
export async function readJson(req: IncomingMessage): Promise<Record<string, unknown>> {
  if (!isJson(req)) {
    throw new RescindError(
      'UNSUPPORTED_MEDIA_TYPE',
      'Send the body as JSON, with Content-Type: application/json.',
    )
  }
  let value: unknown
  try {
    const body = text(await readBody(req))
    value = JSON.parse(body)
    if (strings(value) !== stringsIn(body)) {
      throw new RescindError('VALIDATION_ERROR', 'A member of the JSON is given twice.')
    }
  } catch (error) {
    if (error instanceof RescindError) throw error
    throw new RescindError('VALIDATION_ERROR', 'The request body is not valid JSON.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RescindError('VALIDATION_ERROR', 'The request body must be a JSON object.')
  }
  return value as Record<string, unknown>
}

const FORM = 'application/x-www-form-urlencoded'

export function isForm(req: IncomingMessage): boolean {
  return mediaType(req) === FORM
}

/**
 * Reads a form; a field given twice is refused (RFC 6749 §3.1).
 * @throws RescindError UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE, VALIDATION_ERROR
 */
export async function readForm(req: IncomingMessage): Promise<Map<string, string>> {
  if (!isForm(req))
    throw new RescindError('UNSUPPORTED_MEDIA_TYPE', `Send the body as a form, with Content-Type: ${FORM}.`)
  const form = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(text(await readBody(req)))) {
    if (form.has(name)) throw new RescindError('VALIDATION_ERROR', 'A form field is given twice.')
    form.set(name, value)
  }
  return form
}
