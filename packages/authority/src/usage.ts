const COMMANDS = `  serve                            run the authority
  accounts add EMAIL [--name N]    add an account (asks for a password, or reads it from a pipe)
  accounts list                    list the accounts
  accounts set-password EMAIL      set an account's password
  accounts compromise EMAIL|SUB --reason TEXT
                                   end all its sessions; a new password has to be set through a mailed link
  accounts review                  list the accounts that somebody should have a look at
  accounts reviewed EMAIL|SUB      take one off that list
  accounts deactivate|reactivate EMAIL|SUB --reason TEXT
                                   end all its sessions and let nobody sign in, or let them again
  keys list                        list the signing keys
  keys rotate                      sign with a new key from now on; a running authority picks it up
  keys drop KID                    forget a key that somebody else may have: what it signed dies at once
  accounts report EMAIL|SUB [--json]
                                   what happened to an account lately, in one report
  audit show [--limit N] [FILTERS] print the newest audit records (100), one JSON object a line
  audit export [FILTERS]           print all of them; FILTERS: --event --sub --sid --client --actor --reason
                                   --address --seq --since --until
  audit verify [--file F] [--anchor N:HASH]
                                   check that the audit chain, or an export of it, is whole
  deliveries [--state S] [--json]  list mails, webhooks and logout notices that are waiting, delivered or dead
  deliveries replay ID|--all-dead  try again what was given up; a running authority picks it up
  revoke session SID | device ID | account EMAIL|SUB | client ID | issued-before TIME [--client ID]
         --reason TEXT [--why R] [--dry-run] [--yes] [--json]
                                   end it, everywhere; it counts first and asks. TIME: 2026-07-31T12:00:00Z, ms, or now
  sessions [--sub S] [--client C] [--limit N] [--json]
                                   list sessions, the newest first
  guards [--json]                  list the guards of a running authority, and how far behind they are
  migrate                          bring the store to the newest schema: at once, however long that takes
  export [--file F] [--while-running]
                                   write the whole store, to move it; guard it as the database. Stop the authority first
  import FILE                      fill an empty store with it; the master key has to be there
  doctor [--json]                  check the whole set-up, and say what to mend; exit code 1 if something fails
  mcp [--url URL]                  serve the MCP tools over stdio, for the authority at URL
                                   (RESCIND_URL; RESCIND_ACCESS_TOKEN is what whoami is asked with)`

/** How a command is used, in each of its forms; without one, or where there is none of that name, all of them. */
export function usage(name = ''): string {
  const forms = COMMANDS.split(/\n(?= {2}\S)/)
  const its = forms.filter((form) => form.startsWith(`  ${name} `))
  return `Usage: rescind COMMAND [options]

${(its.length > 0 ? its : forms).join('\n')}

Options for all but mcp: --config FILE --data DIR --store URL; for serve also --port N --host H --issuer URL.
Exit codes: 0 done, 1 it failed, 2 the command or the configuration is wrong.${its.length > 0 ? ' All commands: rescind help.' : ''}`
}
