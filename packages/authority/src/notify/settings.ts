import { z } from 'zod'
import { WEBHOOK_TYPES } from '../domain/notices.ts'

/* The settings of the notices; config.ts has the rest. */

export const webUrl = (value: string) => {
  const url = URL.parse(value)
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.hash === ''
}
const smtpUrl = (value: string) => {
  const url = URL.parse(value)
  return url !== null && /^smtps?:$/.test(url.protocol) && url.hostname !== ''
}

/** Standard Webhooks: `whsec_` and 24 to 64 bytes in base64. */
const webhookSecret = (value: string) => {
  const bytes = Buffer.from(value.slice(6), 'base64')
  return /^whsec_[A-Za-z0-9+/]+={0,2}$/.test(value) && bytes.length >= 24 && bytes.length <= 64
}

export const webhookSettings = z.strictObject({
  url: z.string().refine(webUrl, 'an http(s) URL without a user or a fragment'),
  secret: z.string().refine(webhookSecret, '`whsec_` and 24 to 64 random bytes in base64'),
  /** Absent: all. */
  events: z.array(z.enum(WEBHOOK_TYPES)).min(1).optional(),
})

export const mailSettings = z.strictObject({
  smtp: z.string().refine(smtpUrl, 'smtp://host:port or smtps://user:password@host'),
  /** Whom mail comes from: an address, perhaps with a name before it. */
  from: z
    .string()
    .max(300)
    .regex(
      /^(?:[^\p{Cc}<>"]* <[^\s@<>,;"]+@[^\s@<>,;"]+>|[^\s@<>,;"]+@[^\s@<>,;"]+)$/u,
      'an address, or: Name <address>',
    ),
})

export type WebhookSettings = z.infer<typeof webhookSettings>
export type MailSettings = z.infer<typeof mailSettings>
