import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Failure } from '../../domain/failure.js';

/** The operating-system account that PostgreSQL runs as. */
export interface Account {
  /** `null`: this process's own. */
  readonly ids: { readonly uid: number; readonly gid: number } | null;
  /** For messages. */
  readonly name: string;
  /** Nothing is out of its reach that this process can reach. */
  readonly canReachAll: boolean;
}

/** Accounts that exist for PostgreSQL, then for nothing in particular; the first that this machine has is taken. */
const CANDIDATES = ['postgres', 'nobody'] as const;

/**
 * Chooses the account to run PostgreSQL as. An ordinary user runs it as itself. PostgreSQL refuses root; then it is the
 * owner of the cluster if there is one (so that a restart never changes it), else the first of {@link CANDIDATES}. No
 * account is ever created.
 *
 * @param clusterDir the cluster's directory, which may not exist yet
 */
export async function chooseAccount(clusterDir: string): Promise<Account> {
  const uid = process.getuid?.() ?? -1;
  if (uid !== 0) return { ids: null, name: 'this user', canReachAll: true };
  const accounts = await readAccounts();
  const owner = await stat(clusterDir).catch(() => null);
  const byOwner = owner !== null && owner.uid !== 0 ? accounts.find((account) => account.uid === owner.uid) : undefined;
  const chosen =
    byOwner ??
    CANDIDATES.flatMap((name) => accounts.filter((account) => account.name === name && account.uid !== 0))[0];
  if (chosen === undefined) {
    throw new Failure(
      'unavailable',
      'PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody". ' +
        'Start Latchkey as an ordinary user, or set DATABASE_URL.',
    );
  }
  return { ids: { uid: chosen.uid, gid: chosen.gid }, name: chosen.name, canReachAll: false };
}

async function readAccounts() {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .flatMap(([name, , uid, gid]) =>
      name && /^\d+$/.test(uid ?? '') && /^\d+$/.test(gid ?? '') ? [{ name, uid: Number(uid), gid: Number(gid) }] : [],
    );
}

/** Reports whether the account may pass through every directory on the way to `path`, which must exist, and into it. */
export async function canReach({ ids }: Account, path: string): Promise<boolean> {
  if (ids === null) return true;
  for (let directory = path; ; directory = dirname(directory)) {
    const { uid, gid, mode } = await stat(directory);
    const mayPass = uid === ids.uid ? mode & 0o100 : gid === ids.gid ? mode & 0o010 : mode & 0o001;
    if (!mayPass) return false;
    if (directory === dirname(directory)) return true;
  }
}
