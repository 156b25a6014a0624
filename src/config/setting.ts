/** A form that values take: how it is said to people, and how it is read. */
export interface Kind<T> {
  /** What is allowed, to follow "must be". */
  readonly allowed: string;
  /** The value, or `undefined` when `raw` is not allowed. Never given an empty text, unless `emptyMeans` is set. */
  parse(raw: string): T | undefined;
}

/** Headings under which settings are shown. */
export const SETTING_GROUPS = [
  'Database',
  'Listeners',
  'Decisions',
  'Keys',
  'Sessions',
  'Operation',
  'Telemetry',
] as const;

export type SettingGroup = (typeof SETTING_GROUPS)[number];

/** One environment variable. The same entry parses it, explains it in `--help` and documents it. */
export interface Setting<T> {
  readonly variable: string;
  readonly group: SettingGroup;
  readonly kind: Kind<T>;
  /** What stands in when the variable is unset, written as one would write it; without it the value is `null`. */
  readonly default?: string;
  /** What happens when it is unset, where that depends on other settings. */
  readonly unset?: string;
  /** One or two sentences for an operator. */
  readonly about: string;
  /** What an empty value means: `unset` that the default stands in, anything else `null`. Without it empty is refused. */
  readonly emptyMeans?: string;
  /** Its value must not be shown, not even in part. */
  readonly secret?: boolean;
}

/** A setting whose value is never `null`. */
export type DefaultedSetting<T> = Setting<T> & { readonly default: string };

/** The value that a setting yields. */
export type SettingValue<S> =
  S extends DefaultedSetting<infer T>
    ? S extends { readonly emptyMeans: infer M }
      ? M extends 'unset'
        ? T
        : T | null
      : T
    : S extends Setting<infer T>
      ? T | null
      : never;
