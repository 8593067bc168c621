/** What was asked for cannot be: the runner shows it and ends with 2, as for a flag it does not know. */
export class UsageError extends Error {}
