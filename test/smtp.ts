import type { AddressInfo } from 'node:net'
import PostalMime, { type Email } from 'postal-mime'
import { SMTPServer } from 'smtp-server'

/* A mail server that keeps what it got. */

export type Mailbox = {
  /** For `mail.smtp` of the configuration. */
  url: string
  port: number
  mails: Email[]
  /** As they came over the wire. */
  raw: string[]
  /** What a recipient is refused with, if it is: a status of SMTP. */
  refuse: number | undefined
  close(): Promise<void>
}

export async function startMailbox(port = 0): Promise<Mailbox> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onAuth: ({ username, password }, _session, done) =>
      username === 'rescind' && password === 'the mail password'
        ? done(null, { user: username })
        : done(new Error('no')),
    onRcptTo: (_address, _session, done) => {
      if (mailbox.refuse === undefined) return done()
      done(Object.assign(new Error('refused'), { responseCode: mailbox.refuse }))
    },
    onData: (stream, _session, done) => {
      void (async () => {
        const chunks: Buffer[] = []
        for await (const chunk of stream) chunks.push(chunk as Buffer)
        const raw = Buffer.concat(chunks)
        mailbox.raw.push(raw.toString('utf8'))
        mailbox.mails.push(await PostalMime.parse(raw))
        done()
      })()
    },
  })
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const own = (server.server.address() as AddressInfo).port
  const mailbox: Mailbox = {
    url: `smtp://rescind:the%20mail%20password@127.0.0.1:${own}`,
    port: own,
    mails: [],
    raw: [],
    refuse: undefined,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
  return mailbox
}
