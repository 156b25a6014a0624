import { defaultCatalogue } from '../../src/domain/default-catalogue.js';
import type { Failure } from '../../src/domain/failure.js';
import type { KeyRecord } from '../../src/domain/key-record.js';
import { hashRawKey, type KeyHash } from '../../src/domain/raw-key.js';
import { createAuthorizer } from '../../src/service/authorize.js';
import type { Authorizer } from '../../src/service/authorizer.js';
import { keyRecord, rawKeyOf } from './fakes/builders.js';
import { FakeClock } from './fakes/fake-clock.js';
import { RecordingMetrics } from './fakes/recording-metrics.js';

/** Workflows of the account `account-a`, and one of another account. */
export const WORKFLOW_A = '00000000-0000-4000-8000-00000000000a';
export const WORKFLOW_B = '00000000-0000-4000-8000-00000000000b';
export const FOREIGN_WORKFLOW = '00000000-0000-4000-8000-00000000000f';

/** The real authorizer over keys in a map, for tests of what stands in front of it. */
export class MapAuthorizer implements Authorizer {
  readonly metrics = new RecordingMetrics();
  readonly clock = new FakeClock();
  /** When set, no key can be looked up and this is why. */
  failure: Failure | null = null;
  /** When set, look-ups answer later rather than at once. */
  later = false;
  private readonly keys = new Map<KeyHash, KeyRecord>();
  private readonly authorizer: Authorizer;

  constructor() {
    const owners = new Map([
      [WORKFLOW_A, 'account-a'],
      [WORKFLOW_B, 'account-a'],
      [FOREIGN_WORKFLOW, 'account-z'],
    ]);
    this.authorizer = createAuthorizer({
      keys: {
        find: (hash) => {
          if (this.failure !== null) throw this.failure;
          const found = this.keys.get(hash) ?? null;
          return this.later ? Promise.resolve(found) : found;
        },
      },
      workflows: { ownerOf: (id) => owners.get(id) ?? null },
      catalogue: defaultCatalogue(),
      clock: this.clock,
      metrics: this.metrics,
      usage: { record() {} },
      enforceOwnership: true,
      requiredTags: null,
    });
  }

  /** Makes a key that exists; `number` makes it different from others. Returns its raw form. */
  add(number: number, given: Partial<KeyRecord> = {}): string {
    const rawKey = rawKeyOf(number);
    this.keys.set(hashRawKey(rawKey), keyRecord({ id: `key-${number}`, ...given }));
    return rawKey;
  }

  authorize(...call: Parameters<Authorizer['authorize']>): ReturnType<Authorizer['authorize']> {
    return this.authorizer.authorize(...call);
  }
}
