import type { Row } from './row.js';
import { decisionRow } from './rows/decision.js';
import { memoryRow } from './rows/memory.js';
import { unaryRow } from './rows/unary.js';

/** Every row, in the order of the table. */
export const ROWS: readonly Row[] = [decisionRow, unaryRow, memoryRow];
