import { type ListenAddress, parseListenAddress } from './listen-address.js';
import type { Kind } from './setting.js';

/** A whole number in decimal digits, bounds included. */
export function integer(min: number, max: number): Kind<number> {
  return {
    allowed: `a whole number from ${min} to ${max}`,
    parse(raw) {
      if (!/^\d{1,15}$/.test(raw)) return undefined;
      const value = Number(raw);
      return value >= min && value <= max ? value : undefined;
    },
  };
}

/** `true` or `false`. */
export const boolean: Kind<boolean> = {
  allowed: 'true or false',
  parse: (raw) => (raw === 'true' ? true : raw === 'false' ? false : undefined),
};

/** As {@link boolean}, in capitals too; as in `OTEL_` variables. */
export const booleanInAnyCase: Kind<boolean> = {
  allowed: boolean.allowed,
  parse: (raw) => boolean.parse(raw.toLowerCase()),
};

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): Kind<T> {
  return { allowed: `one of ${words.join(', ')}`, parse: (raw) => words.find((word) => word === raw) };
}

/** Text without control characters, between two lengths in characters. */
export function text(what: string, minLength = 1, maxLength = 4096): Kind<string> {
  return {
    allowed: minLength > 1 ? `${what} of at least ${minLength} characters` : what,
    parse: (raw) =>
      raw.length >= minLength && raw.length <= maxLength && !/\p{Cc}/u.test(raw) && raw.trim() === raw
        ? raw
        : undefined,
  };
}

/** Path of a file or directory, relative to the working directory or absolute. */
export const path: Kind<string> = text('a path');

/** Comma-separated entries of another kind, at least one; spaces around a comma do not count. */
export function list<T>(item: Kind<T>): Kind<readonly T[]> {
  return {
    allowed: `${item.allowed}; several are separated by commas`,
    parse(raw) {
      const values: T[] = [];
      for (const part of raw.split(',')) {
        const value = part.trim() === '' ? undefined : item.parse(part.trim());
        if (value === undefined) return undefined;
        values.push(value);
      }
      return Object.freeze(values);
    },
  };
}

/** Where a listener binds. */
export const address: Kind<ListenAddress> = {
  allowed: 'host:port, [IPv6]:port or unix:/absolute/path',
  parse: parseListenAddress,
};

/** A connection URL of PostgreSQL. */
export const databaseUrl: Kind<string> = {
  allowed: 'a URL like postgres://user:password@host:5432/database',
  parse(raw) {
    const url = parseUrl(raw);
    return url !== undefined && (url.protocol === 'postgres:' || url.protocol === 'postgresql:') ? raw : undefined;
  },
};

/** The origin of a web page, exactly as a browser sends it. */
export const origin: Kind<string> = {
  allowed: 'an origin like https://app.example.com, without a path',
  parse(raw) {
    const url = parseUrl(raw);
    return url !== undefined && /^https?:$/.test(url.protocol) && url.origin === raw ? raw : undefined;
  },
};

/** Where keys that verify signatures are fetched from: over TLS, or from this machine. */
export const keySetUrl: Kind<string> = {
  allowed: 'an https:// URL (http:// on a loopback address only)',
  parse(raw) {
    const url = parseUrl(raw);
    if (url === undefined || url.username !== '' || url.password !== '') return undefined;
    const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
    return url.protocol === 'https:' || (url.protocol === 'http:' && loopback) ? raw : undefined;
  },
};

/** Where telemetry is sent. */
export const collectorUrl: Kind<string> = {
  allowed: 'a URL like http://collector:4318',
  parse(raw) {
    const url = parseUrl(raw);
    return url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === ''
      ? raw
      : undefined;
  },
};

/** Comma-separated `name=value` pairs, with values in percent-encoding; as in `OTEL_` variables. */
export const namedValues: Kind<Readonly<Record<string, string>>> = {
  allowed: 'pairs like name=value, separated by commas',
  parse(raw) {
    const values: Record<string, string> = {};
    for (const pair of raw.split(',')) {
      const match = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair);
      if (match === null) return undefined;
      try {
        values[match[1] ?? ''] = decodeURIComponent(match[2] ?? '');
      } catch {
        return undefined;
      }
    }
    return Object.freeze(values);
  },
};

/** A share of something. */
export const share: Kind<number> = {
  allowed: 'a number from 0 to 1',
  parse: (raw) => (/^([01](\.0{1,9})?|0?\.\d{1,9})$/.test(raw) ? Number(raw) : undefined),
};

/** The name of a cookie (a token of RFC 6265). */
export const cookieName: Kind<string> = {
  allowed: "a cookie's name: letters, digits, back-ticks and any of !#$%&'*+-.^_|~",
  parse: (raw) => (/^[\w!#$%&'*+.^`|~-]{1,128}$/.test(raw) ? raw : undefined),
};

function parseUrl(raw: string): URL | undefined {
  try {
    return new URL(raw);
  } catch {
    return undefined;
  }
}
