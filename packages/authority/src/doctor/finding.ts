/** What a check found: nothing to do, something to know or mend soon, or something that does not work. */
export type Finding = { check: string; level: 'ok' | 'warn' | 'fail'; says: string }

export const ok = (check: string, says: string): Finding => ({ check, level: 'ok', says })
export const warn = (check: string, says: string): Finding => ({ check, level: 'warn', says })
export const fail = (check: string, says: string): Finding => ({ check, level: 'fail', says })

/** What an error is called, in one line, without what a URL in it says of users and passwords. */
export function reason(error: unknown): string {
  const { message, code, cause } = error as NodeJS.ErrnoException
  const inner = cause as NodeJS.ErrnoException | undefined
  const said = message || code || inner?.code || 'no reason was given'
  const more = inner?.message || inner?.code
  const text = more && message === 'fetch failed' ? more : said
  return text.replace(/\/\/[^/@\s]*@/g, '//…@').replace(/\s+/g, ' ')
}
