import { z } from 'zod'

/* Who may log people out here from outside; config.ts has the rest. */

/** Keys travel by https, or stay on this machine. */
const keysUrl = (value: string) => {
  const url = URL.parse(value)
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && url.hostname === 'localhost')
}

const PRIVATE = ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi']

const publicKey = z
  .looseObject({ kty: z.enum(['OKP', 'EC', 'RSA']) })
  .refine((key) => PRIVATE.every((name) => !(name in key)), 'a public key')

/** An identity provider that may end all sessions of an account (draft-parecki-oauth-global-token-revocation). */
export const identityProviderSettings = z
  .strictObject({
    client_id: z.string('a text').min(1).max(200),
    /** Its own issuer identifier: the `iss` of what it signs, and of the subjects that it speaks of. */
    issuer: z.string().min(1).max(500).optional(),
    /** How it proves who it is: with a secret, or with tokens that it signs. */
    client_secret: z.string().min(16, 'a secret of at least 16 characters').optional(),
    jwks: z.strictObject({ keys: z.array(publicKey).min(1).max(20) }).optional(),
    jwks_uri: z.string().refine(keysUrl, 'an https URL, or http://localhost').optional(),
    /** Only accounts whose e-mail is of one of these; absent: all accounts. */
    emailDomains: z
      .array(
        z
          .string()
          .regex(/^[^\s@]+$/, 'a domain such as example.com')
          .toLowerCase(),
      )
      .min(1)
      .optional(),
  })
  .refine(({ jwks, jwks_uri }) => !(jwks && jwks_uri), '`jwks` or `jwks_uri`, not both')
  .refine(
    ({ client_secret, jwks, jwks_uri }) => client_secret || jwks || jwks_uri,
    'an entry with a `client_secret`, `jwks` or `jwks_uri`',
  )

export type IdentityProvider = z.infer<typeof identityProviderSettings>

/** What a list of them has twice: each of their names has to mean one of them. */
export function ambiguousName(providers: IdentityProvider[]): string | undefined {
  const names = providers.flatMap(({ client_id, issuer }) => [...new Set([client_id, issuer ?? client_id])])
  return names.find((name, index) => names.indexOf(name) !== index)
}
