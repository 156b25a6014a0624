import { h, setAttribute, uniqueId } from './dom.js';

/** A labelled control with a place for what is wrong with it. */
export interface Field {
  readonly element: HTMLElement;
  /** Shows an error and ties it to the control; `null` clears it. */
  setError(text: string | null): void;
}

/** Where an error is shown and what it is tied to. */
export interface FieldError {
  readonly element: HTMLElement;
  set(text: string | null): void;
}

/** The error line of `control`, which a screen reader reads with the control. */
export function createFieldError(control: HTMLElement): FieldError {
  const id = uniqueId('error');
  const element = h('p', { class: 'field-error', id, hidden: true });
  const described = control.getAttribute('aria-describedby');
  return {
    element,
    set(text) {
      element.textContent = text ?? '';
      element.hidden = text === null;
      // A group cannot be invalid in ARIA; its description says it.
      if (control.tagName !== 'FIELDSET') setAttribute(control, 'aria-invalid', text === null ? null : 'true');
      setAttribute(control, 'aria-describedby', text === null ? described : [id, described].filter(Boolean).join(' '));
    },
  };
}

/** What surrounds the control of a field. */
export interface FieldParts {
  readonly label: string;
  /** What the label names. */
  readonly control: HTMLElement;
  /** The control with what belongs around it; the control itself when absent. */
  readonly shown?: HTMLElement;
  /** Shown between the control and its error. */
  readonly extra?: HTMLElement | null;
}

/** A label, its control, and a place for an error. */
export function createField({ label, control, shown = control, extra }: FieldParts): Field {
  if (control.id === '') control.id = uniqueId('field');
  const error = createFieldError(control);
  const element = h('div', { class: 'field' }, h('label', { for: control.id }, label), shown, extra, error.element);
  return { element, setError: (text) => error.set(text) };
}
