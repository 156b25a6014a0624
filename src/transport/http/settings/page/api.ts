import { ApiProblem } from './api-problem.js';
import { nextPageOf } from './next-page-of.js';

/** A key as REST shows it. Times are RFC 3339. */
export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly key_prefix: string;
  /** `null`: all workflows of the account. */
  readonly workflow_id: string | null;
  readonly permissions: readonly string[];
  readonly created_at: string;
  readonly last_used_at: string | null;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
}

/** What was proven about a revocation. */
export interface Receipt {
  readonly confirmed_in_ms: number;
  readonly sidecars: { readonly acknowledged: number; readonly expired: number };
}

/** A new key, with the only copy of its raw key. */
export interface CreatedApiKey extends ApiKey {
  readonly raw_key: string;
  /** After a rotation without overlap: the proof that the old key is refused. */
  readonly receipt?: Receipt | null;
}

/** What a person chose for a new key. */
export interface KeyOrder {
  readonly name: string;
  readonly workflow_id: string | null;
  readonly permissions: readonly string[];
  readonly expires_at: string | null;
}

/** A workflow of the account. */
export interface Workflow {
  readonly id: string;
  readonly name: string;
}

/** The newest keys of the account. */
export interface KeyListing {
  readonly keys: readonly ApiKey[];
  /** There are older ones. */
  readonly hasMore: boolean;
  /** An opaque name of the account that is signed in. */
  readonly account: string | null;
}

/** The REST calls of this page. Each rejects with an {@link ApiProblem} and nothing else. */
export interface Api {
  /** The newest `count` keys, however many answers they take. */
  listKeys(query: { readonly includeRevoked: boolean; readonly count: number }): Promise<KeyListing>;
  listWorkflows(): Promise<readonly Workflow[]>;
  createKey(order: KeyOrder): Promise<CreatedApiKey>;
  revokeKey(id: string): Promise<Receipt>;
  rotateKey(id: string, overlapSeconds: number): Promise<CreatedApiKey>;
}

/** Most keys in one answer. */
const LIMIT_MAX = 1000;

const READ_DEADLINE_MS = 15_000;
/**
 * Longer than a revocation waits for the longest lease, which is 63 s with its margin. Where sidecars may serve from memory
 * without the database, it can wait longer still, and the page says that the outcome is uncertain.
 */
const WRITE_DEADLINE_MS = 75_000;

/** @param base where REST begins, ending in a slash */
export function createApi(base: URL): Api {
  async function call(method: string, path: string, body?: unknown): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(new URL(path, base), {
        method,
        headers: body === undefined ? { accept: 'application/json' } : JSON_HEADERS,
        body: body === undefined ? null : JSON.stringify(body),
        credentials: 'same-origin',
        // Kept by the browser, but asked about each time.
        cache: 'no-cache',
        redirect: 'error',
        signal: AbortSignal.timeout(method === 'GET' ? READ_DEADLINE_MS : WRITE_DEADLINE_MS),
      });
    } catch (error) {
      throw ApiProblem.unreachable(error);
    }
    if (!response.ok) throw await ApiProblem.from(response);
    return response;
  }

  async function json<T>(response: Response): Promise<T> {
    try {
      return (await response.json()) as T;
    } catch (error) {
      throw ApiProblem.unreachable(error);
    }
  }

  return {
    async listKeys({ includeRevoked, count }) {
      const keys: ApiKey[] = [];
      let account: string | null = null;
      let next: string | null = includeRevoked ? '' : '?revoked=false';
      while (next !== null && keys.length < count) {
        const query = new URLSearchParams(next);
        query.set('limit', String(Math.min(count - keys.length, LIMIT_MAX)));
        const response = await call('GET', `keys?${query}`);
        keys.push(...(await json<ApiKey[]>(response)));
        next = nextPageOf(response.headers.get('link'));
        account = response.headers.get('latchkey-account');
      }
      return { keys, hasMore: next !== null, account };
    },
    async listWorkflows() {
      return json<Workflow[]>(await call('GET', 'workflows'));
    },
    async createKey(order) {
      return json<CreatedApiKey>(await call('POST', 'keys', order));
    },
    async revokeKey(id) {
      const answer = await json<{ receipt: Receipt }>(await call('DELETE', `keys/${encodeURIComponent(id)}`));
      return answer.receipt;
    },
    async rotateKey(id, overlapSeconds) {
      const path = `keys/${encodeURIComponent(id)}/rotate`;
      return json<CreatedApiKey>(await call('POST', path, { overlap_seconds: overlapSeconds }));
    },
  };
}

const JSON_HEADERS = { accept: 'application/json', 'content-type': 'application/json' };
