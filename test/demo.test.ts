import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'

describe('npm run demo', () => {
  it('sees the whole story and says so', () => {
    const demo = join(import.meta.dirname, '../tools/demo.ts')
    const { status, stdout } = spawnSync(process.execPath, [demo], { encoding: 'utf8', timeout: 60_000 })
    assert.equal(status, 0, stdout)
    for (const seen of [
      /\d ms {2}signed in: authorization code \+ PKCE/,
      /\d ms {2}GET \/notes → 200/,
      /\d ms {2}MCP revoke_oauth_tokens → \{"success":true/,
      /\+[\d.]+ ms {2}GET \/notes → 401/,
      /\d ms {2}the stream said session-ended \{"reason":"user_logout"\} and closed/,
      /"event":"revocation".*"reason":"user_logout"/,
      /Dead everywhere/,
    ]) {
      assert.match(stdout, seen)
    }
  })
})
