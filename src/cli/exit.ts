/** Exit codes of every command. */
export const EXIT = {
  good: 0,
  /** The command ran and found something wrong. */
  findings: 1,
  /** What was asked for cannot be done; also of `config diff`, as of diff(1), when a side has errors. */
  usage: 2,
  /** A sidecar or file that was to be asked does not answer. */
  unreachable: 3,
} as const;
