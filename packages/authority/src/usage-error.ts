/** The command line was used wrongly: the usage is shown, and the exit code is 2. */
export class UsageError extends Error {}
