/** A browser profile, phone or machine that an account signs in from; it outlives sessions. */
export type Device = {
  id: string
  sub: string
  /** What people see: its owner's own name for it, or what its user agent says. */
  name: string
  /** Whether its owner gave it that name. */
  renamed?: true
  browser?: string
  os?: string
  kind: 'desktop' | 'mobile' | 'tablet' | 'app' | 'unknown'
  /** In ms. */
  firstSeen: number
  lastSeen: number
  /** Where it last signed in from: an IP address, and what `locate` made of it. */
  address: string
  place: string
}

/** A device at a sign-in. */
export type SeenDevice = Omit<Device, 'renamed' | 'firstSeen'>
