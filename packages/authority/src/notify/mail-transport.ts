import type { MailSettings } from './settings.ts'

/** For each step of a conversation with the mail server, in ms. */
const TIMEOUT = 10_000

/** The connection to the mail server. `secured`: a server without TLS is refused. */
export async function createMailTransport({ smtp }: MailSettings) {
  // Who sends no mail does not load it.
  const { createTransport } = await import('nodemailer')
  const limits = { connectionTimeout: TIMEOUT, greetingTimeout: TIMEOUT, socketTimeout: TIMEOUT }
  // What is in a message never makes the library open a file or a URL.
  const safety = { disableFileAccess: true, disableUrlAccess: true }
  const requireTLS = needsTls(smtp)
  const transport = createTransport({ url: smtp, ...limits, ...safety, dnsTimeout: TIMEOUT, requireTLS })
  return Object.assign(transport, { secured: requireTLS })
}

/** A password is not sent over a network in clear, whatever the server offers. */
function needsTls(smtp: string): boolean {
  const { hostname, username } = new URL(smtp)
  return username !== '' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}
