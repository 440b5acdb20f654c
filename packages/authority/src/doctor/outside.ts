import { lookup } from 'node:dns/promises'
import type { Config } from '../config.ts'
import { createMailTransport } from '../notify/mail-transport.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

const PATIENCE = 10_000
const LOCAL = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/** Whether the mail server lets us in; nothing is sent. */
export async function checkMail({ mail }: Config): Promise<Finding[]> {
  if (!mail) return [ok('mail', 'No mail is configured, so people get none.')]
  const { hostname, protocol } = new URL(mail.smtp)
  const transport = await createMailTransport(mail)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it does not answer')), PATIENCE)
  })
  try {
    await Promise.race([transport.verify(), late])
    if (protocol === 'smtp:' && !LOCAL.test(hostname) && !transport.secured)
      return [warn('mail', `${hostname} takes mail, perhaps in clear. Use smtps:// if it can.`)]
    return [ok('mail', `${hostname} takes mail.`)]
  } catch (error) {
    return [fail('mail', `The mail server ${hostname} does not take mail: ${reason(error)}.`)]
  } finally {
    clearTimeout(timer)
    transport.close()
  }
}

/** Whether there is an address behind each webhook's name, and whether it is told over TLS. */
export function checkWebhooks({ webhooks }: Config): Promise<Finding[]> {
  return Promise.all(
    webhooks.map(async ({ url }) => {
      const { hostname, protocol, host } = new URL(url)
      try {
        await lookup(hostname.replace(/^\[|\]$/g, ''))
      } catch (error) {
        return fail('webhooks', `There is no address for ${hostname}: ${reason(error)}.`)
      }
      if (protocol === 'http:' && !LOCAL.test(hostname))
        return warn('webhooks', `${host} is told over http, in clear. Use https.`)
      return ok('webhooks', `${host} has an address.`)
    }),
  )
}
