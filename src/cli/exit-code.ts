/** What the program's exit code says; part of its interface. */
export const ExitCode = {
  /** Done; `check`: granted; `doctor`: nothing is wrong; `serve`: stopped as asked. */
  OK: 0,
  /** It could not be done, or something is wrong. */
  FAILURE: 1,
  /** The command or the configuration is wrong; nothing was tried. */
  USAGE: 2,
  /** `check`: the call would be refused. */
  DENIED: 3,
  /** The change was made, but it is not proven that every sidecar enforces it: repeat the command. */
  UNCONFIRMED: 4,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
