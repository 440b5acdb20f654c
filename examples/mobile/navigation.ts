// Where screens are shown. The client goes to them; the app says how, once it is there.
import type { MobileOptions } from '@rescind/client/react-native'

type Navigate = MobileOptions['navigate']

let show: Navigate = () => {}

export const navigate: Navigate = (screen, params) => show(screen, params)

export function showWith(how: Navigate) {
  show = how
}
