import type { Config } from './config.ts'
import type { Account } from './store/store.ts'

/** What administrators may do over HTTP; one scope for all of it. */
export const ADMIN_SCOPE = 'rescind:admin'

/** The resource that administrators sign in to. */
export function adminResource(issuer: string): string {
  return `${issuer}/v1/admin`
}

/** Whether the configuration names this e-mail as an administrator's. */
export function namesAdministrator({ admins }: Pick<Config, 'admins'>, email: string): boolean {
  return admins.some((one) => folded(one) === folded(email))
}

/** Whether an account administers this authority, as it is now. */
export function administers(config: Pick<Config, 'admins'>, account: Account | undefined): boolean {
  if (!account || account.deactivatedAt !== undefined || account.resetRequired) return false
  return namesAdministrator(config, account.email)
}

/** As the store compares e-mails: other letters that look alike in lower case are other e-mails. */
function folded(email: string): string {
  return email.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
