import type { SessionState } from '@rescind/client/react-native'
import { type ReactNode, useEffect, useState } from 'react'
import { ActivityIndicator, Linking, Pressable, SafeAreaView, StyleSheet, Text, View } from 'react-native'
import { showWith } from './navigation'
import { API, client } from './session'

type Ended = { reason: string; at: string; page?: string }
type Screen = { name: 'Login' } | { name: 'Home' } | { name: 'SignedOut'; ended: Ended }

export default function App() {
  const [state, setState] = useState<SessionState>(client.state())
  const [screen, setScreen] = useState<Screen>({ name: 'Login' })

  useEffect(() => {
    showWith((name, ended) => setScreen(name === 'SignedOut' && ended ? { name, ended } : { name: 'Login' }))
    const stop = client.on('change', () => setState(client.state()))
    client.ready().then(setState)
    return stop
  }, [])

  if (state.status === 'unknown') return <Page title="Notes">{<ActivityIndicator />}</Page>
  if (state.status === 'signed-in') return <Home name={`${state.claims.name ?? 'you'}`} />
  if (screen.name === 'SignedOut')
    return <SignedOut {...screen.ended} again={() => setScreen({ name: 'Login' })} />
  return <Login />
}

function Login() {
  const [failed, setFailed] = useState<string>()
  const signIn = () => {
    setFailed(undefined)
    client.signIn().catch((error: Error) => setFailed(error.message))
  }
  return (
    <Page title="Notes">
      <Button title="Sign in" onPress={signIn} />
      {failed === undefined ? null : <Text accessibilityRole="alert">{failed}</Text>}
    </Page>
  )
}

function Home({ name }: { name: string }) {
  const [notes, setNotes] = useState<string[]>([])
  useEffect(() => {
    client
      .fetch(`${API}/notes`)
      .then((response) => response.json() as Promise<{ notes: string[] }>)
      .then((body) => setNotes(body.notes))
      .catch(() => setNotes([]))
    // What is on the screen goes with the session.
    return client.onClear(() => setNotes([]))
  }, [])
  return (
    <Page title={`The notes of ${name}`}>
      {notes.map((note) => (
        <Text key={note}>{note}</Text>
      ))}
      <Button title="Log out" onPress={() => client.logout()} />
    </Page>
  )
}

function SignedOut({ reason, at, page, again }: Ended & { again: () => void }) {
  return (
    <Page title="You were signed out">
      <Text>{`${reason.replaceAll('_', ' ')}, ${new Date(at).toLocaleTimeString()}`}</Text>
      {page === undefined ? null : <Button title="Why?" onPress={() => Linking.openURL(page)} />}
      <Button title="Sign in again" onPress={again} />
    </Page>
  )
}

function Page({ title, children }: { title: string; children: ReactNode }) {
  return (
    <SafeAreaView style={styles.page}>
      <Text accessibilityRole="header" style={styles.title}>
        {title}
      </Text>
      <View style={styles.content}>{children}</View>
    </SafeAreaView>
  )
}

function Button({ title, onPress }: { title: string; onPress: () => void }) {
  return (
    <Pressable accessibilityRole="button" onPress={onPress} style={styles.button}>
      <Text style={styles.label}>{title}</Text>
    </Pressable>
  )
}

const styles = StyleSheet.create({
  page: { flex: 1, justifyContent: 'center', padding: 24 },
  title: { fontSize: 24, fontWeight: '600', marginBottom: 16 },
  content: { gap: 12 },
  button: { backgroundColor: '#1d4ed8', borderRadius: 8, padding: 14 },
  label: { color: '#ffffff', fontWeight: '600', textAlign: 'center' },
})
