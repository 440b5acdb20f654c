// The session of this app. What a phone has is handed over here; everything else imports `client`.
import AsyncStorage from '@react-native-async-storage/async-storage'
import NetInfo from '@react-native-community/netinfo'
import {
  appState,
  createClient,
  expoAuthSession,
  expoSecureStore,
  netInfo,
} from '@rescind/client/react-native'
import * as AuthSession from 'expo-auth-session'
import * as SecureStore from 'expo-secure-store'
import { AppState } from 'react-native'
import { navigate } from './navigation'

const AUTHORITY = 'https://login.example.com'
const CLIENT_ID = 'notes-mobile'
export const API = 'https://api.example.com'

export const client = createClient({
  authority: AUTHORITY,
  clientId: CLIENT_ID,
  origins: [API],
  auth: expoAuthSession(AuthSession, {
    authority: AUTHORITY,
    clientId: CLIENT_ID,
    redirectUri: AuthSession.makeRedirectUri({ scheme: 'com.example.notes', path: 'callback' }),
    scopes: ['notes:read'],
    resource: API,
  }),
  // Neither in a backup nor on another phone.
  secureStore: expoSecureStore(SecureStore, {
    keychainAccessible: SecureStore.AFTER_FIRST_UNLOCK_THIS_DEVICE_ONLY,
  }),
  storage: AsyncStorage,
  network: netInfo(NetInfo),
  foreground: appState(AppState),
  navigate,
})
