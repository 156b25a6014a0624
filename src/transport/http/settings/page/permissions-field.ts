import { h, uniqueId } from './dom.js';
import { createFieldError } from './field.js';

/** The permissions in the order in which they are stored and shown. */
const PERMISSIONS = [
  { name: 'read', label: 'Read', hint: 'See outputs, state and data' },
  { name: 'execute', label: 'Execute', hint: 'Run and stop workflows' },
  { name: 'write', label: 'Write', hint: 'Change state, data and settings' },
] as const;

/** How a permission's name is shown; a name this page does not know is shown as it is. */
export function permissionLabel(name: string): string {
  return PERMISSIONS.find((permission) => permission.name === name)?.label ?? name;
}

/** Chooses what a key may do. */
export interface PermissionsField {
  readonly element: HTMLElement;
  value(): readonly string[];
  setError(text: string | null): void;
  reset(): void;
  focus(): void;
}

export function createPermissionsField(): PermissionsField {
  const boxes = PERMISSIONS.map(({ name, label, hint }) => {
    const hintId = uniqueId('hint');
    const id = uniqueId('permission');
    const box = h('input', { type: 'checkbox', id, value: name, checked: true, 'aria-describedby': hintId });
    const text = h('span', { class: 'choice-text' }, h('label', { for: id }, label), h('span', { id: hintId }, hint));
    return { box, element: h('div', { class: 'choice' }, box, text) };
  });
  const fieldset = h('fieldset', { class: 'field' }, h('legend', {}, 'Permissions'));
  const error = createFieldError(fieldset);
  fieldset.append(h('div', { class: 'choices' }, ...boxes.map(({ element }) => element)), error.element);
  return {
    element: fieldset,
    value: () => boxes.filter(({ box }) => box.checked).map(({ box }) => box.value),
    setError: (text) => error.set(text),
    reset() {
      for (const { box } of boxes) box.checked = true;
    },
    focus: () => boxes[0]?.box.focus(),
  };
}
