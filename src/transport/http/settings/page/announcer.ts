import { h } from './dom.js';

/** Tells screen readers what changed, without moving the focus. */
export interface Announcer {
  readonly element: HTMLElement;
  say(text: string): void;
}

/** Makes a polite live region. It must be in the document before the first thing is said. */
export function createAnnouncer(): Announcer {
  const element = h('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  return {
    element,
    say(text) {
      // A new node is announced also when the same text is said twice.
      element.replaceChildren(h('p', {}, text));
    },
  };
}
