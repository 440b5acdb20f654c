import { html } from 'hono/html'
import type { Markup } from './layout.ts'

/* The mails that people get about their account: plain text, and the same as HTML without anything remote. */

export type EndedSession = { at: number; reason: string; app: string }

export interface MailOptions {
  kind:
    | 'new_device'
    | 'signed_out'
    | 'token_reuse'
    | 'password_changed'
    | 'email_changed'
    | 'suspicious_signin'
    | 'compromised'
    | 'reset'
  /** Whose authority this is. */
  issuerName: string
  /** When it happened, in ms. */
  at: number
  app?: string | undefined
  device?: string | undefined
  /** The sessions that ended, and how many there were besides. */
  ended: EndedSession[]
  more: number
  notMeUrl?: string | undefined
  resetUrl?: string | undefined
}

export type Mail = { subject: string; text: string; html: string }

type Letter = {
  subject: string
  lead: string
  facts: string[]
  /** What to do, and the links to do it by. */
  actions: { words: string; url: string }[]
}

const REASONS: Record<string, string> = {
  device_removed: 'the device was removed',
  admin_forced: 'by an administrator',
  suspicious_activity: 'something unusual was seen',
  token_reuse: 'a stolen or copied token was used',
}

/** A mail about an account. Everything that came from outside is cleaned, and escaped in the HTML. */
export async function renderMail(options: MailOptions): Promise<Mail> {
  const letter = compose(options)
  const { subject, lead, facts, actions } = letter
  const text = [
    lead,
    ...(facts.length > 0 ? [facts.map((fact) => `- ${fact}`).join('\n')] : []),
    ...actions.map(({ words, url }) => `${words}\n${url}`),
    footer(options),
  ].join('\n\n')
  return { subject, text: `${text}\n`, html: await asHtml(letter, footer(options)) }
}

function footer({ issuerName }: MailOptions): string {
  return `${clean(issuerName)} sends this to the address of the account, because it is about its safety. Nobody will ever ask you to reply with a password or a code.`
}

type Words = {
  subject: string
  lead: string
  /** What it lists, where that is not what happened: the sessions that ended. */
  lists?: 'ended'
  /** Where its link leads, where that is not "was this not you?". */
  leads?: 'reset'
}

const WORDS: Record<MailOptions['kind'], (name: string) => Words> = {
  new_device: (name) => ({
    subject: `New sign-in to your ${name} account`,
    lead: `Somebody signed in to your ${name} account on a device that was not used before.`,
  }),
  signed_out: (name) => ({
    subject: `You were signed out of ${name}`,
    lead: `These sessions of your ${name} account were ended, and not by signing out in them.`,
    lists: 'ended',
  }),
  token_reuse: (name) => ({
    subject: `A session of your ${name} account was ended for safety`,
    lead: `A token of your ${name} account was used a second time. That happens when it was copied, so we ended its session. Sign in again to go on.`,
    lists: 'ended',
  }),
  password_changed: (name) => ({
    subject: `Your ${name} password was changed`,
    lead: `The password of your ${name} account was changed.`,
  }),
  email_changed: (name) => ({
    subject: `The e-mail address of your ${name} account was changed`,
    lead: `The e-mail address of your ${name} account was changed. This mail goes to the old address and to the new one.`,
  }),
  suspicious_signin: (name) => ({
    subject: `An unusual sign-in to your ${name} account`,
    lead: `The password of your ${name} account was used in a way that looks unusual, as if it had been guessed.`,
  }),
  compromised: (name) => ({
    subject: `Your ${name} account was secured`,
    lead: `Your ${name} account was reported as taken over. Everything that was signed in to it has been signed out, and its password opens nothing any more.`,
    leads: 'reset',
  }),
  reset: (name) => ({
    subject: `Set a new ${name} password`,
    lead: `Somebody asked for a new password for your ${name} account. The link works once, for an hour. If it was not you, you need not do anything.`,
    leads: 'reset',
  }),
}

function compose(options: MailOptions): Letter {
  const { kind, notMeUrl, resetUrl } = options
  const { subject, lead, lists, leads } = WORDS[kind](clean(options.issuerName))
  const notMe = notMeUrl ? [{ words: 'Was this not you? Say so here:', url: notMeUrl }] : []
  const reset = resetUrl ? [{ words: 'Set a new password here:', url: resetUrl }] : []
  const facts = lists === 'ended' ? endedOf(options) : factsOf(options)
  return { subject, lead, facts, actions: leads === 'reset' ? reset : notMe }
}

function factsOf({ kind, at, device, app }: MailOptions): string[] {
  const facts = [`When: ${time(at)}`]
  if (device) facts.unshift(`Device: ${clean(device)}`)
  if (app && kind !== 'reset') facts.unshift(`App: ${clean(app)}`)
  return facts
}

function endedOf({ ended, more }: MailOptions): string[] {
  const lines = ended.map(({ app, at, reason }) => {
    const why = REASONS[reason] ? `: ${REASONS[reason]}` : ''
    return `${clean(app)}, ${time(at)}${why}`
  })
  return more > 0 ? [...lines, `and ${more} more`] : lines
}

async function asHtml({ subject, lead, facts, actions }: Letter, end: string): Promise<string> {
  const list: Markup | '' =
    facts.length > 0 ? html`<ul>${facts.map((fact) => html`<li>${fact}</li>`)}</ul>` : ''
  const links = actions.map(({ words, url }) => html`<p>${words}<br><a href="${url}">${url}</a></p>`)
  const document = await html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${subject}</title></head>
<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em">
<p>${lead}</p>
${list}
${links}
<p><small>${end}</small></p>
</body>
</html>
`
  return document.toString()
}

function time(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/**
 * A name that somebody else chose, as one harmless line: no control characters, nothing that reorders the words around
 * it, and nothing that a mail program would turn into a link.
 */
export function clean(name: string): string {
  return name
    .replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/[<>:/\\@]+|\.(?=[^\s\d])/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 80)
}
