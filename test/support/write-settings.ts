import { readFileSync, writeFileSync } from 'node:fs';
import { OPERATIONS_PAGE, withSettings } from './settings-table.js';

// Run by `npm run generate`: brings the page of the operators up to date with the settings.
writeFileSync(OPERATIONS_PAGE, withSettings(readFileSync(OPERATIONS_PAGE, 'utf8')));
