import type { Row } from './row.js';
import { batchRow } from './rows/batch.js';
import { checkRow } from './rows/check.js';
import { decisionRow } from './rows/decision.js';
import { floodRow } from './rows/flood.js';
import { growthRow } from './rows/growth.js';
import { memoryRow } from './rows/memory.js';
import { missesRow } from './rows/misses.js';
import { revokeRow } from './rows/revoke.js';
import { soakRow } from './rows/soak.js';
import { startRow } from './rows/start.js';
import { streamRow } from './rows/stream.js';
import { unaryRow } from './rows/unary.js';
import { usageRow } from './rows/usage.js';
import { workersRow } from './rows/workers.js';

/** Every row, in the order of the table. */
export const ROWS: readonly Row[] = [
  decisionRow,
  unaryRow,
  batchRow,
  streamRow,
  checkRow,
  missesRow,
  floodRow,
  revokeRow,
  memoryRow,
  startRow,
  growthRow,
  usageRow,
  workersRow,
  soakRow,
];
