import { type Child, h } from './dom.js';
import { icon } from './icons.js';

/** A message that is read out at once. */
export function createAlert(...children: readonly Child[]): HTMLElement {
  return h('div', { class: 'notice notice-danger', role: 'alert' }, icon('warning'), h('div', {}, ...children));
}
