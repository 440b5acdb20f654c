import { startAuthority } from '@rescind/authority'
import { readConfig } from '@rescind/authority/config'

const config = readConfig({ config: 'rescind.json' }, process.env)
const office = (address: string) => address.startsWith('10.')
await startAuthority(config, {
  hooks: {
    onSignIn: ({ device, recentFailures }) => (!device && recentFailures > 3 ? 'step-up' : 'allow'),
    onRefresh: ({ address, previousAddress = '' }) =>
      office(previousAddress) && !office(address) ? 'revoke' : 'allow',
  },
})
