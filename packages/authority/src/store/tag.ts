import { hash } from 'node:crypto'

/** What tells a revocation, by the body that is stored of it, from another log’s of the same number. */
export function tagOf(body: string): string {
  return hash('sha256', body, 'base64url').slice(0, 11)
}
