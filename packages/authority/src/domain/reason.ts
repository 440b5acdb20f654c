/** Why a session ended. The list is closed: pages, notices and guards all switch on it. */
export const REASONS = [
  'user_logout',
  'device_removed',
  'password_change',
  'account_compromise',
  'suspicious_activity',
  'token_reuse',
  'account_switch',
  'app_uninstall',
  'session_timeout',
  'admin_forced',
  'upstream_logout',
] as const

export type Reason = (typeof REASONS)[number]
