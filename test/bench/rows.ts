import type { Row } from './row.js';
import { batchRow } from './rows/batch.js';
import { checkRow } from './rows/check.js';
import { decisionRow } from './rows/decision.js';
import { memoryRow } from './rows/memory.js';
import { streamRow } from './rows/stream.js';
import { unaryRow } from './rows/unary.js';

/** Every row, in the order of the table. */
export const ROWS: readonly Row[] = [decisionRow, unaryRow, batchRow, streamRow, checkRow, memoryRow];
