import type { DateFormat } from './dates.js';
import { h } from './dom.js';
import { createField, createFieldError } from './field.js';
import { icon } from './icons.js';
import { now } from './now.js';

const DAY_MS = 86_400_000;

/** The last day that can be chosen: RFC 3339 has four digits for a year, and here it may be UTC's next day already. */
const LAST_DAY = '9999-12-30';

const TERMS = [
  { value: '', label: 'Never' },
  { value: '30', label: 'In 30 days' },
  { value: '90', label: 'In 90 days' },
  { value: '365', label: 'In 365 days' },
  { value: 'date', label: 'On a date…' },
] as const;

/** When a key is to stop working: RFC 3339, `null` for never, or what is wrong with what was chosen. */
export type Expiry = { readonly at: string | null } | { readonly problem: string };

/** Chooses when a key stops working. */
export interface ExpiryField {
  readonly element: HTMLElement;
  value(): Expiry;
  setError(text: string | null): void;
  reset(): void;
  focus(): void;
}

export function createExpiryField(dates: DateFormat): ExpiryField {
  const select = h('select', { class: 'input' });
  for (const { value, label } of TERMS) select.append(h('option', { value }, label));
  const date = h('input', {
    type: 'date',
    class: 'input',
    'aria-label': 'Last day of the key',
    required: true,
    max: LAST_DAY,
  });
  const note = h('p', { class: 'field-note', 'aria-live': 'polite' });
  const dateError = createFieldError(date);
  const extra = h('div', { class: 'field-extra' }, date, dateError.element, note);
  const shown = h('div', { class: 'select' }, select, icon('chevron'));
  const field = createField({ label: 'Expires', control: select, shown, extra });

  const onDate = (): boolean => select.value === 'date';

  function value(): Expiry {
    if (select.value === '') return { at: null };
    if (!onDate()) return { at: new Date(now() + Number(select.value) * DAY_MS).toISOString() };
    if (date.value === '') return { problem: 'Choose a date.' };
    if (date.validity.rangeOverflow) return { problem: 'Choose a day before the year 10000, or no expiry.' };
    // The whole of the chosen day, where the reader is.
    const end = new Date(`${date.value}T23:59:59.999`);
    if (Number.isNaN(end.getTime())) return { problem: 'Choose a date.' };
    return end.getTime() > now() ? { at: end.toISOString() } : { problem: 'Choose a day that is not over yet.' };
  }

  function setError(text: string | null): void {
    dateError.set(onDate() ? text : null);
    field.setError(onDate() ? null : text);
  }

  function show(): void {
    date.hidden = !onDate();
    if (onDate()) date.min = localDay(now());
    const chosen = value();
    const at = 'at' in chosen ? chosen.at : null;
    note.textContent = at === null ? '' : `${onDate() ? 'Until the end of' : 'Until'} ${dates.day(Date.parse(at))}`;
    note.hidden = at === null;
  }

  select.addEventListener('change', () => {
    setError(null);
    show();
  });
  date.addEventListener('input', () => {
    setError(null);
    show();
  });
  show();

  return {
    element: field.element,
    value,
    setError,
    reset() {
      select.value = '';
      date.value = '';
      setError(null);
      show();
    },
    focus: () => (onDate() ? date : select).focus(),
  };
}

/** The day at an instant where the reader is, as `input type=date` writes it. */
function localDay(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}
