/**
 * The typed client of Latchkey for Node services: `import { createLatchkeyClient } from 'latchkey/client'`.
 */
export type { Decision, PermissionName, Question, Reason } from './decision.js';
export type { DecisionStream } from './decision-stream.js';
export { createLatchkeyClient, type LatchkeyClient } from './latchkey-client.js';
export type { CallOptions, ClientTls, LatchkeyClientOptions } from './options.js';
export { type StatusName, UndecidedError } from './undecided-error.js';
export type { WatchEvent, WatchOptions } from './watch-revocations.js';
