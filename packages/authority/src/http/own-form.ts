import type { IncomingMessage } from 'node:http'
import { RescindError } from '../errors.ts'
import { readForm } from './body.ts'

/**
 * A form that another site submits carries that site's origin; a cookie alone would not tell.
 * @throws RescindError ACCESS_DENIED
 */
export function refuseForeignForm(issuer: string, req: IncomingMessage): void {
  const { origin } = req.headers
  const site = req.headers['sec-fetch-site']
  if ((origin !== undefined && origin !== issuer) || (site !== undefined && site !== 'same-origin')) {
    throw new RescindError('ACCESS_DENIED', 'This form has to be sent from its own page.')
  }
}

/**
 * Reads a form that changes something for whoever is signed in. One that does not say where it comes from may be another
 * site's.
 * @throws RescindError ACCESS_DENIED, PAYLOAD_TOO_LARGE
 */
export function readOwnForm(issuer: string, req: IncomingMessage): Promise<Map<string, string>> {
  if (req.headers.origin === undefined && req.headers['sec-fetch-site'] === undefined)
    throw new RescindError('ACCESS_DENIED', 'This form has to be sent from its own page.')
  refuseForeignForm(issuer, req)
  return readForm(req)
}
