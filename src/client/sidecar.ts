import type { AuthorizationServiceClient } from '../gen/latchkey/v1/authorization_service.js';

/** One sidecar as a client sees it: how to call it, and what is known of it at the moment. */
export interface Sidecar {
  readonly stub: AuthorizationServiceClient;
  /** Whether it has not said that it is not serving. */
  readonly usable: boolean;
  /** Whether it has said that it is serving. */
  readonly serving: boolean;
  /** Whether there is a connection to it. Asking starts one where there is none, unless the last try was a moment ago. */
  readonly connected: boolean;
  close(): void;
}
