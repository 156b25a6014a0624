import type { KeyCursor } from '../../ports/key-registry.js';

/**
 * What a cursor looks like. Clients treat it as opaque. It holds nothing that the list itself does not show, and every
 * string of this shape is a place in the list, so that a cursor cannot be well-formed and yet wrong.
 */
export const CURSOR_PATTERN = '^[0-9]{1,16}_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';

const SHAPE = new RegExp(CURSOR_PATTERN);

/** Writes a place in the list for the address of the next page. */
export function formatKeyCursor(cursor: KeyCursor): string {
  return `${cursor.createdAtUs}_${cursor.id}`;
}

/** Reads what {@link formatKeyCursor} wrote; `null` for anything else. */
export function parseKeyCursor(text: string): KeyCursor | null {
  if (!SHAPE.test(text)) return null;
  const at = text.indexOf('_');
  return { createdAtUs: text.slice(0, at), id: text.slice(at + 1) };
}
