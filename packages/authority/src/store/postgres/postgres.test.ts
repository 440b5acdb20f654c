import { after, before } from 'node:test'
import { type Postgres, startPostgres } from '../../../../../test/postgres.ts'
import { DEFAULT_POLICY } from '../../domain/policy.ts'
import { conformance } from '../conformance.ts'
import { logConformance } from '../conformance-logs.ts'
import { openPostgresStore } from './postgres.ts'

let server: Postgres
before(async () => {
  server = await startPostgres()
})
after(() => server.stop())

let url = ''
const suite = {
  async fresh() {
    url = await server.newDatabase()
  },
  open: () => openPostgresStore({ url, policy: DEFAULT_POLICY, exclusive: true }),
}
conformance('postgres', suite)
logConformance('postgres', suite)
