// The other way to sign in: with `react-native-app-auth` in place of `expo-auth-session`.
import { type Auth, appAuth, type SignInSettings } from '@rescind/client/react-native'
import * as AppAuth from 'react-native-app-auth'

export function appAuthOf(settings: SignInSettings): Auth {
  return appAuth(AppAuth, settings)
}
