import type { IncomingMessage } from 'node:http'
import { RescindError } from '../errors.ts'

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
